"""Who is on call: rotations with overrides. Pure; times are aware, zones are IANA names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Turn:
    """``people`` take turns of ``days`` days, handed over at ``at`` o'clock in ``zone``; ``begins`` is the first."""

    people: Sequence[str]
    days: int
    at: time
    zone: str
    begins: datetime


@dataclass(frozen=True, slots=True)
class Instead:
    """``person`` is on call from ``since`` until before ``until``, whoever's turn it is. The newest wins."""

    person: str
    since: datetime
    until: datetime


def on_call(turn: Turn, instead: Sequence[Instead], now: datetime) -> str:
    """Who is called at ``now``; empty before the first turn or when there is nobody."""
    for override in reversed(instead):
        if override.since <= now < override.until:
            return override.person
    number = turn_number(turn, now)
    return turn.people[number % len(turn.people)] if turn.people and number >= 0 else ""


def turn_number(turn: Turn, now: datetime) -> int:
    """How many hand-overs there were. Counted in days of the wall clock, so a change to summer time moves none."""
    zone = ZoneInfo(turn.zone)
    local, first = now.astimezone(zone), turn.begins.astimezone(zone)
    days = (local.date() - first.date()).days - (local.time().replace(tzinfo=None) < turn.at)
    return days // turn.days


def handed_over_at(turn: Turn, now: datetime) -> datetime:
    """The next hand-over after ``now``."""
    zone = ZoneInfo(turn.zone)
    first = turn.begins.astimezone(zone).date()
    day = first + timedelta(days=(turn_number(turn, now) + 1) * turn.days)
    return datetime.combine(day, turn.at, zone)
