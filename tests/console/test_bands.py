from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from apps.console.selectors.bands import Change, tones

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
END = START + timedelta(hours=1)


def change(minute: float, kind: str, **detail: Any) -> Change:
    return Change(START + timedelta(minutes=minute), kind, detail)


def told(changes: list[Change], current: str = "good") -> list[tuple[float, str]]:
    found = tones(changes, start=START, end=END, current=current)
    return [((at - START).total_seconds() / 60, tone) for at, tone in found]


def test_without_history_it_was_as_it_is() -> None:
    assert told([], current="bad") == [(0, "bad")]
    assert told([change(10, "configured")], current="good") == [(0, "good")]


def test_open_until_its_reset_time_then_half_open() -> None:
    events = [change(10, "opened", rule={"reset": 300}), change(20, "closed")]
    assert told(events) == [(0, "good"), (10, "bad"), (15, "warning"), (20, "good")]


def test_a_failed_probe_waits_longer() -> None:
    events = [change(10, "opened", rule={"reset": 60}), change(11, "reopened", wait=600)]
    assert told(events, current="warning") == [(0, "good"), (10, "bad"), (11, "bad"), (21, "warning")]


def test_a_forced_open_ends_in_a_test_and_a_forced_closed_in_closed() -> None:
    assert told([change(5, "forced_open"), change(9, "override_ended", override=1)])[-1] == (9, "warning")
    assert told([change(5, "forced_closed"), change(9, "override_ended", override=2)])[-1] == (9, "good")


def test_what_was_before_the_hour_is_told_from_the_first_event() -> None:
    assert told([change(30, "closed")])[0] == (0, "warning")
    assert told([change(30, "reset")])[0] == (0, "bad")
