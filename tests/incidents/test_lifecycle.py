from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.incidents.lifecycle import (
    Alert,
    began,
    is_open,
    may_become,
    normal_since,
    over_since,
    reopens,
    resolves_itself_at,
)
from apps.incidents.models import State

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("told", "believed"),
    [
        (NOON - 3 * MINUTE, NOON - 3 * MINUTE),
        (NOON - timedelta(hours=24), NOON - timedelta(hours=24)),
        (NOON - timedelta(hours=24, seconds=1), NOON),
        (NOON + MINUTE, NOON),
        (datetime(2020, 1, 1, tzinfo=UTC), NOON),
        (None, NOON),
    ],
)
def test_a_start_is_believed_only_where_it_can_be_true(told: datetime | None, believed: datetime) -> None:
    assert began(Alert(first_seen_at=NOON, starts_at=told)) == believed


def test_a_merged_incident_becomes_nothing_and_a_resolved_one_only_opens_again() -> None:
    assert not any(may_become(State.MERGED, state) for state in State.values)
    assert [state for state in State.values if may_become(State.RESOLVED, state)] == ["investigating"]
    assert [state for state in State.values if is_open(state)] == ["investigating", "identified", "monitoring"]


def test_it_is_over_with_its_last_alert_and_without_alerts_never() -> None:
    one = Alert(NOON, firing=False, resolved_at=NOON + 5 * MINUTE)
    two = Alert(NOON, firing=False, resolved_at=NOON + 9 * MINUTE)
    assert over_since([one, two]) == NOON + 9 * MINUTE
    assert over_since([one, Alert(NOON, firing=False)]) is None
    assert over_since([]) is None


def test_it_is_normal_since_the_last_alert_fell_silent() -> None:
    silent = Alert(NOON, firing=False, normal_since=NOON + 2 * MINUTE)
    later = Alert(NOON, firing=False, normal_since=NOON + 3 * MINUTE)
    assert normal_since([silent, later]) == NOON + 3 * MINUTE
    assert normal_since([silent, Alert(NOON)]) is None
    assert normal_since([]) is None


def test_when_it_ends_by_itself() -> None:
    assert resolves_itself_at(NOON, 300) == NOON + 5 * MINUTE
    assert resolves_itself_at(NOON, 0) == NOON
    assert resolves_itself_at(NOON, None) is None
    assert resolves_itself_at(None, 300) is None


@pytest.mark.parametrize(
    ("after", "again"), [(timedelta(0), False), (MINUTE, True), (30 * MINUTE, True), (31 * MINUTE, False)]
)
def test_fired_again_within_half_an_hour_of_the_end(after: timedelta, again: bool) -> None:
    assert reopens(NOON, NOON + after) is again
