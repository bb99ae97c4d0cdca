from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from apps.alerts.rotations import Instead, Turn, handed_over_at, on_call

PEOPLE = ["a@example.com", "b@example.com", "c@example.com"]
# A Monday, 09:00 in Berlin; summer time ends on 25 October 2026.
WEEKLY = Turn(PEOPLE, 7, time(9), "Europe/Berlin", datetime(2026, 10, 19, 7, tzinfo=UTC))


def test_people_take_turns_and_hand_over_on_the_wall_clock() -> None:
    assert on_call(WEEKLY, [], datetime(2026, 10, 19, 7, tzinfo=UTC)) == PEOPLE[0]
    assert on_call(WEEKLY, [], datetime(2026, 10, 26, 7, 59, tzinfo=UTC)) == PEOPLE[0]  # 08:59, now in winter time
    assert on_call(WEEKLY, [], datetime(2026, 10, 26, 8, 0, tzinfo=UTC)) == PEOPLE[1]
    assert on_call(WEEKLY, [], datetime(2026, 11, 9, 8, 0, tzinfo=UTC)) == PEOPLE[0]


def test_the_next_hand_over() -> None:
    assert handed_over_at(WEEKLY, datetime(2026, 10, 20, tzinfo=UTC)) == datetime(2026, 10, 26, 8, tzinfo=UTC)


def test_before_the_first_turn_and_without_people_there_is_nobody() -> None:
    assert on_call(WEEKLY, [], datetime(2026, 10, 19, 6, 59, tzinfo=UTC)) == ""
    assert on_call(Turn([], 7, time(9), "UTC", WEEKLY.begins), [], datetime(2027, 1, 1, tzinfo=UTC)) == ""


def test_an_override_ends_exactly_and_the_newest_wins() -> None:
    since = datetime(2026, 10, 20, tzinfo=UTC)
    one = Instead("x@example.com", since, since + timedelta(hours=8))
    two = Instead("y@example.com", since + timedelta(hours=4), since + timedelta(hours=6))
    found = [on_call(WEEKLY, [one, two], since + timedelta(hours=hours)) for hours in (0, 5, 6, 8)]
    assert found == ["x@example.com", "y@example.com", "x@example.com", PEOPLE[0]]
