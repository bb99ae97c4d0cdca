from __future__ import annotations

import pytest

from apps.channels.base import DeliveryError
from apps.channels.headers import RESERVED, check, merged, problem


def test_custom_header_replaces_a_service_header_whatever_its_case():
    assert merged({"X-Team": "a", "Accept": "*/*"}, {"x-TEAM": "b"}) == {"X-Team": "b", "Accept": "*/*"}


def test_custom_header_given_twice_in_different_case_goes_once():
    assert merged({}, {"X-A": "1", "x-a": "2"}) == {"X-A": "2"}


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_custom_header_never_replaces_a_reserved_one(name):
    assert merged({}, {name.title(): "evil"}) == {}


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "a\x7f", "\ud800"])
def test_line_break_or_control_character_in_a_header_value_is_a_permanent_error(value):
    with pytest.raises(DeliveryError) as caught:
        check("X-Note", value)
    assert caught.value.permanent
    assert not caught.value.counts_as_failure
    assert "headers.X-Note" in str(caught.value)


@pytest.mark.parametrize("name", ["", "X Note", "X-Note:", "X\r\nEvil", "X\0", "é", "x" * 101])
def test_what_is_no_header_name_is_refused(name):
    assert problem(name, "v")


@pytest.mark.parametrize("headers", [{"X-A": 1}, {"X-A": None}, {"X-A": ["1"]}, "X-A: 1", [1]])
def test_what_plain_sql_may_have_written_is_a_permanent_error_too(headers):
    with pytest.raises(DeliveryError, match="headers") as caught:
        merged({}, headers)
    assert caught.value.permanent


def test_ordinary_values_pass_with_tabs_and_letters_of_any_language():
    assert problem("X-Note", "a\tb ü 日本 😀") is None
