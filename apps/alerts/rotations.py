"""Who is on call: rotations with overrides. Pure; times are aware, zones are IANA names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
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


@dataclass(frozen=True, slots=True)
class Shift:
    """``person`` from ``since`` until before ``until``; empty when nobody is on call. ``instead``: not by turn."""

    person: str
    since: datetime
    until: datetime
    instead: bool = False


def on_call(turn: Turn, instead: Sequence[Instead], now: datetime) -> str:
    """Who is called at ``now``; empty before the first turn or when there is nobody."""
    return _at(turn, instead, now)[0]


def _at(turn: Turn, instead: Sequence[Instead], now: datetime) -> tuple[str, bool]:
    for override in reversed(instead):
        if override.since <= now < override.until:
            return override.person, True
    number = turn_number(turn, now)
    return (turn.people[number % len(turn.people)] if turn.people and number >= 0 else ""), False


def boundary(turn: Turn, number: int) -> datetime:
    """When turn ``number`` begins. Days of the wall clock, so a change to summer time moves no hand-over.

    An hour that is there twice is meant the first time; one that is skipped, as if the clock had not been changed yet.
    """
    first = turn.begins.astimezone(ZoneInfo(turn.zone)).date()
    at = datetime.combine(first + timedelta(days=number * turn.days), turn.at, ZoneInfo(turn.zone))
    return at.astimezone(UTC)


def turn_number(turn: Turn, now: datetime) -> int:
    """How many hand-overs there were; below zero before the first turn.

    Compared in UTC: on the wall clock an hour that comes twice would give a turn back for that hour.
    """
    zone = ZoneInfo(turn.zone)
    days = (now.astimezone(zone).date() - turn.begins.astimezone(zone).date()).days
    number = days // turn.days
    if now < boundary(turn, number):
        return number - 1
    return number + 1 if now >= boundary(turn, number + 1) else number


def handed_over_at(turn: Turn, now: datetime) -> datetime:
    """The next hand-over after ``now``."""
    return boundary(turn, turn_number(turn, now) + 1)


def schedule(turn: Turn, instead: Sequence[Instead], since: datetime, until: datetime) -> list[Shift]:
    """Who is on call from ``since`` to ``until``, without a hole: where nobody is, a shift without a person says so."""
    edges = {since, until, *_hand_overs(turn, since, until)}
    edges |= {at for one in instead for at in (one.since, one.until) if since < at < until}
    pieces = [Shift(person, a, b, by) for a, b in pairwise(sorted(edges)) for person, by in [_at(turn, instead, a)]]
    found: list[Shift] = []
    for piece in pieces:
        last = found[-1] if found else None
        if last is not None and (last.person, last.instead) == (piece.person, piece.instead):
            found[-1] = Shift(last.person, last.since, piece.until, last.instead)
        else:
            found.append(piece)
    return found


def _hand_overs(turn: Turn, since: datetime, until: datetime) -> list[datetime]:
    first = max(turn_number(turn, since) + 1, 0)
    last = turn_number(turn, until)
    return [at for number in range(first, last + 1) if since < (at := boundary(turn, number)) < until]


def shift_at(turn: Turn, instead: Sequence[Instead], now: datetime, *, ahead: timedelta) -> Shift:
    """The one that holds at ``now``, up to ``ahead`` of it."""
    return schedule(turn, instead, now, now + ahead)[0]
