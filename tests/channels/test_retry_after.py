from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.channels.retry_after import CAP_S, retry_after

NOW = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-30", 0.0),
        ("999999999999", CAP_S),
        ("9" * 5000, CAP_S),
        ("Sat, 21 Nov 2026 08:01:30 GMT", 90.0),
        ("Saturday, 21-Nov-26 08:01:30 GMT", 90.0),
        ("Sat Nov 21 08:01:30 2026", 90.0),
        ("Sat, 21 Nov 2026 10:01:30 +0200", 90.0),
        ("Fri, 20 Nov 2026 08:00:00 GMT", 0.0),
        ("Sun, 01 Jan 2090 00:00:00 GMT", CAP_S),
        ("Sat, 99 Nov 2026 08:01:30 GMT", None),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("1e3", None),
        ("٣", None),
        ("", None),
        (None, None),
        ("1" * 65 + "x", None),
    ],
)
def test_retry_after_as_seconds_and_as_http_date_negative_absurd_and_in_the_past(value, seconds):
    assert retry_after(value, now=NOW) == seconds


@given(st.text(max_size=80))
def test_retry_after_never_fails(text):
    found = retry_after(text, now=NOW)
    assert found is None or 0 <= found <= CAP_S
