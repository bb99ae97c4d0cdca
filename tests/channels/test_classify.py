from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.channels.classify import failure

NOW = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 511, 520, 599])
def test_these_are_worth_another_try(status):
    assert not failure(status, {}, "", now=NOW).permanent


@pytest.mark.parametrize("status", [101, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 409, 410, 413, 422, 451])
def test_these_are_permanent_and_say_nothing_about_the_destination(status):
    error = failure(status, {}, "", now=NOW)
    assert error.permanent
    assert not error.counts_as_failure
    assert error.status_code == status


@pytest.mark.parametrize(("status", "counts"), [(408, True), (425, True), (429, False), (500, True), (503, True)])
def test_429_is_not_a_breaker_failure(status, counts):
    assert failure(status, {}, "", now=NOW).counts_as_failure is counts


@pytest.mark.parametrize(("status", "seconds"), [(429, 90.0), (503, 90.0), (500, None), (408, None)])
def test_retry_after_slows_down_on_429_and_503(status, seconds):
    headers = {"Retry-After": "Sat, 21 Nov 2026 08:01:30 GMT"}
    assert failure(status, headers, "", now=NOW).retry_after == seconds


def test_410_pauses_the_service_and_nothing_else_does():
    assert failure(410, {}, "", now=NOW).pauses_service
    assert not failure(404, {}, "", now=NOW).pauses_service


def test_redirect_says_where_it_pointed():
    error = failure(302, {"Location": "http://10.0.0.1/\x00admin\r\n"}, "", now=NOW)
    assert "http://10.0.0.1/admin" in str(error)
    assert error.error_class == "redirect"


def test_message_quotes_the_first_line_of_the_answer():
    assert str(failure(422, {}, '{"error":\n "no amount"}', now=NOW)) == (
        'Answered 422 Unprocessable Entity: {"error": "no amount"}'
    )
