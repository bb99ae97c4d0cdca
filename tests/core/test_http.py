from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import Invalid, NotFound, RateLimited, Unauthorized
from apps.core.http import client_ip, error_response
from apps.core.strict_json import MAX_DEPTH, BadJson, parse

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@given(VALUES, st.booleans())
def test_json_is_read_as_it_was_written(value: Any, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode("utf-8")) == value


@given(st.binary())
def test_any_bytes_give_a_value_or_a_clear_error(raw: bytes) -> None:
    with suppress(BadJson, Invalid):
        json.dumps(parse(raw)).encode()


def test_depth() -> None:
    def nested(levels: int) -> bytes:
        return b"[" * levels + b"1" + b"]" * levels

    assert parse(nested(MAX_DEPTH))
    with pytest.raises(Invalid, match="nested deeper than 100 levels"):
        parse(nested(MAX_DEPTH + 1))
    with pytest.raises(Invalid, match="nested deeper"):
        parse(nested(200_000))


def test_wide_is_not_deep() -> None:
    assert len(parse(json.dumps([{"a": [1]}] * 5000).encode())) == 5000


def test_an_escaped_backslash_is_no_escape() -> None:
    assert parse(rb'{"a": "\\u0000 \\ud800"}') == {"a": "\\u0000 \\ud800"}
    assert parse(rb'{"a": "\ud83d\ude00"}') == {"a": "😀"}


@pytest.mark.parametrize(
    ("remote", "forwarded", "trusted", "expected"),
    [
        ("10.0.0.9", "", ["10.0.0.9"], "10.0.0.9"),
        ("10.0.0.9", "1.2.3.4", [], "10.0.0.9"),
        ("10.0.0.9", "1.2.3.4", ["10.0.0.9"], "1.2.3.4"),
        ("10.0.0.9", "6.6.6.6, 1.2.3.4", ["10.0.0.0/8"], "1.2.3.4"),
        ("10.0.0.9", "6.6.6.6, 1.2.3.4, 10.1.1.1", ["10.0.0.0/8"], "1.2.3.4"),
        ("", "1.2.3.4", ["10.0.0.0/8"], ""),
    ],
)
def test_the_callers_address(settings: Any, remote: str, forwarded: str, trusted: list[str], expected: str) -> None:
    settings.TRUSTED_PROXIES = trusted
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert client_ip(RequestFactory().get("/", headers=headers, REMOTE_ADDR=remote)) == expected


def test_errors_have_one_shape_and_fitting_headers() -> None:
    response = error_response(NotFound("gone", detail={"id": 1}))
    assert json.loads(response.content) == {"error": {"code": "not_found", "message": "gone", "detail": {"id": 1}}}
    assert error_response(RateLimited("slow down", retry_after=0.2))["Retry-After"] == "1"
    assert error_response(RateLimited("slow down", retry_after=1.2))["Retry-After"] == "2"
    assert error_response(Unauthorized("who?"))["WWW-Authenticate"].startswith("Bearer")
