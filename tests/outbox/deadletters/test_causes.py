from __future__ import annotations

import re
import string
import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.outbox.deadletters.causes import MAX_MESSAGE, fingerprint, normalise

LETTERS = st.text(string.ascii_letters, min_size=1, max_size=12)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
KINDS = {
    "number": st.integers(0, 10**18).map(str) | st.floats(0, 1e9).map("{:.2f}".format),
    "uuid": st.uuids().map(str),
    "e-mail": st.builds("{}.{}@{}.example.com".format, LETTERS, st.integers(0, 999), LETTERS),
    "phone": st.builds(
        "+{}{}{}{}{}".format,
        st.integers(1, 99),
        st.sampled_from([" ", "", "-"]),
        st.integers(100, 999),
        st.sampled_from([" ", "", "-"]),
        st.integers(10_000, 99_999_999),
    ),
    "time": MOMENTS.map(datetime.isoformat) | MOMENTS.map(lambda at: format_datetime(at, usegmt=True)),
    "query": st.builds("https://api.example.com/pay?token={}&to={}".format, LETTERS, LETTERS),
    "hex": st.text("0123456789abcdef", min_size=8, max_size=64) | st.integers(0, 2**64).map(hex),
    "id": st.builds("{}{}{}".format, LETTERS, st.integers(0, 9), LETTERS),
    "address": st.ip_addresses(v=4).map(str),
}
TEMPLATES = ["order {} was refused", "refused: {}", "{} is unknown", "'{}' does not exist, ask support", "[id={}] no"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("template", TEMPLATES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_changing_what_varies_does_not_change_the_cause(kind: str, template: str, data: st.DataObject) -> None:
    one, other = data.draw(KINDS[kind]), data.draw(KINDS[kind])
    first = fingerprint("midtrans", "HttpError", 400, template.format(one))
    assert first == fingerprint("midtrans", "HttpError", 400, template.format(other))


@given(st.text(max_size=6000), st.text(max_size=70), st.none() | st.integers(100, 599))
def test_any_text_gives_a_storable_answer(error: str, error_class: str, status: int | None) -> None:
    mark, message = fingerprint("smtp", error_class, status, error)
    assert re.fullmatch(r"[0-9a-f]{16}", mark)
    assert len(message) <= MAX_MESSAGE
    assert "\x00" not in message
    message.encode()


def test_half_a_surrogate_pair_is_survived() -> None:
    assert normalise("bad \ud800 text") == "bad ? text"


def test_what_is_said_tells_causes_apart() -> None:
    seen = {
        fingerprint("midtrans", "HttpError", 400, "amount is required")[0],
        fingerprint("midtrans", "HttpError", 400, "currency is required")[0],
        fingerprint("midtrans", "HttpError", 422, "amount is required")[0],
        fingerprint("midtrans", "Timeout", 400, "amount is required")[0],
        fingerprint("smtp", "HttpError", 400, "amount is required")[0],
        fingerprint("smtp", "HttpError", None, "amount is required")[0],
    }
    assert len(seen) == 6


def test_case_and_white_space_do_not() -> None:
    assert fingerprint("s", "E", 1, "Card  declined\n")[0] == fingerprint("s", "E", 1, "card declined")[0]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("Order 4711 of 1,250.00 IDR refused", "Order # of # IDR refused"),
        ("550 5.1.1 <budi@example.com>: user unknown", "# <<email>>: user unknown"),
        (
            "GET https://u:pw@api.example.com/v1/orders/42?key=s3cret failed",
            "GET https://api.example.com/#/orders/# failed",
        ),
        ("invoice INV-2026-0042 exists", "invoice INV-# exists"),
        ("retry after Sat, 21 Nov 2026 08:33:02 GMT please", "retry after # please"),
        ("connect to 10.0.3.7:443 refused", "connect to # refused"),
        ("pod (17) at 2026-11-21T08:33:02.123+07:00 gone", "pod # at # gone"),
        ("", ""),
    ],
)
def test_examples(error: str, expected: str) -> None:
    assert normalise(error) == expected


@pytest.mark.parametrize(
    "hostile",
    [
        "a@" * 50_000,
        "https://" + "a?" * 50_000,
        "1-" * 50_000,
        "(" * 100_000,
        "# " * 50_000,
        "a" * 100_000,
        "jan " * 30_000,
    ],
)
def test_hostile_text_costs_little(hostile: str) -> None:
    started = time.process_time()
    normalise(hostile)
    assert time.process_time() - started < 0.25
