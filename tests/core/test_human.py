from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.core import human

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.3, "0.3 s"),
        (45, "45 s"),
        (60, "1 min"),
        (372, "6 min 12 s"),
        (7800, "2 h 10 min"),
        (270_000, "3 d 3 h"),
    ],
)
def test_span(seconds: float, words: str) -> None:
    assert human.span(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(-5, "0:00"), (0, "0:00"), (41, "0:41"), (725, "12:05"), (10_920, "3 h 2 min")]
)
def test_countdown(seconds: float, words: str) -> None:
    assert human.countdown(seconds) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(None, "–"), (0, "0 %"), (1, "100 %"), (0.9999, "99.9 %"), (0.0001, "0.1 %"), (0.124, "12.4 %")],
)
def test_percent_is_never_all_unless_it_is_all(share: float | None, words: str) -> None:
    assert human.percent(share) == words


@pytest.mark.parametrize(
    ("value", "words"), [(999, "999"), (1000, "1k"), (1234, "1.2k"), (13_200, "13k"), (1_500_000, "1.5M")]
)
def test_compact(value: int, words: str) -> None:
    assert human.compact(value) == words


@pytest.mark.parametrize(("value", "words"), [(None, "–"), (84, "84 ms"), (2400, "2.4 s"), (65_000, "1 min 5 s")])
def test_milliseconds(value: float | None, words: str) -> None:
    assert human.milliseconds(value) == words


def test_looking_back_and_ahead() -> None:
    assert human.ago(NOON - timedelta(seconds=40), NOON) == "40 s ago"
    assert human.ago(NOON - timedelta(hours=3, minutes=59), NOON) == "3 h ago"
    assert human.ago(NOON + timedelta(minutes=2), NOON) == "in 2 min"


def test_clock_names_the_day_when_it_is_another_one() -> None:
    assert human.clock(NOON, NOON) == "12:00:00"
    assert human.clock(NOON - timedelta(days=3), NOON) == "Nov 18 12:00"
    assert human.clock(NOON - timedelta(days=400), NOON) == "2025-10-17 12:00"
    assert human.exact(NOON) == "2026-11-21 12:00:00 UTC"


def test_words() -> None:
    assert human.plural(1, "message") == "1 message"
    assert human.plural(1204, "message") == "1,204 messages"
    assert [human.listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
