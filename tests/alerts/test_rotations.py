from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest

from apps.alerts.rotations import Instead, Turn, boundary, handed_over_at, on_call, schedule, turn_number

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


# 02:30 comes twice in Berlin on 25 October 2026, and not at all on 28 March 2027.
DAILY = Turn(PEOPLE, 1, time(2, 30), "Europe/Berlin", datetime(2026, 10, 24, 0, 30, tzinfo=UTC))


def test_an_hour_that_comes_twice_hands_over_once() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    minutes = [first + timedelta(minutes=minute) for minute in range(0, 180, 10)]
    assert on_call(DAILY, [], first - timedelta(seconds=1)) == PEOPLE[0]
    assert {on_call(DAILY, [], at) for at in minutes} == {PEOPLE[1]}


def test_an_hour_that_is_skipped_hands_over_once_and_when_it_is_said() -> None:
    before = datetime(2027, 3, 28, 0, 59, tzinfo=UTC)
    at = handed_over_at(DAILY, before)
    assert at == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    assert on_call(DAILY, [], at - timedelta(seconds=1)) == on_call(DAILY, [], before)
    assert on_call(DAILY, [], at) != on_call(DAILY, [], before)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Jakarta", "Australia/Lord_Howe", "America/St_Johns"])
def test_a_year_of_turns_has_no_hole_and_no_step_back(zone: str) -> None:
    turn = Turn(PEOPLE, 1, time(2, 15), zone, datetime(2026, 1, 1, 12, tzinfo=UTC))
    at, last = turn.begins + timedelta(days=2), 0
    while at < turn.begins + timedelta(days=367):
        number = turn_number(turn, at)
        assert boundary(turn, number) <= at < boundary(turn, number + 1)
        assert number >= last
        at, last = at + timedelta(minutes=47), number


def test_a_schedule_has_no_hole_and_says_where_nobody_is() -> None:
    since, until = WEEKLY.begins - timedelta(days=2), WEEKLY.begins + timedelta(days=20)
    one = Instead("x@example.com", WEEKLY.begins + timedelta(days=6), WEEKLY.begins + timedelta(days=8))
    found = schedule(WEEKLY, [one], since, until)
    assert [shift.person for shift in found] == ["", PEOPLE[0], "x@example.com", PEOPLE[1], PEOPLE[2]]
    assert (found[0].since, found[-1].until) == (since, until)
    assert all(a.until == b.since for a, b in pairwise(found))
    assert [shift.instead for shift in found] == [False, False, True, False, False]
