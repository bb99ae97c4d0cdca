"""What may become of an incident, and when it began. Pure: rows and the clock come in as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apps.incidents.models import OPEN_STATES, State

# A sender's start is believed when it is at most so long before the portal heard of the alert: neither from the
# future nor years old (field notes 3.1, 24).
BELIEVED: Final = timedelta(hours=24)
# An alert that fires again so soon after its incident was resolved opens that incident again (field notes 3.1, 53).
REOPEN_WITHIN: Final = timedelta(minutes=30)

# People may go back and forth while it is open; a merged incident lives on in another one and stays as it is.
NEXT: Final[Mapping[str, tuple[str, ...]]] = {
    State.INVESTIGATING: (State.IDENTIFIED, State.MONITORING, State.RESOLVED, State.MERGED),
    State.IDENTIFIED: (State.INVESTIGATING, State.MONITORING, State.RESOLVED, State.MERGED),
    State.MONITORING: (State.INVESTIGATING, State.IDENTIFIED, State.RESOLVED, State.MERGED),
    State.RESOLVED: (State.INVESTIGATING,),
    State.MERGED: (),
}


@dataclass(frozen=True, slots=True)
class Alert:
    """What of an episode matters here. Times as in :class:`apps.alerts.models.Episode`."""

    first_seen_at: datetime
    firing: bool = True
    starts_at: datetime | None = None
    normal_since: datetime | None = None
    resolved_at: datetime | None = None
    acknowledged_at: datetime | None = None


def may_become(state: str, wanted: str) -> bool:
    return wanted in NEXT[state]


def is_open(state: str) -> bool:
    return state in OPEN_STATES


def began(alert: Alert) -> datetime:
    """When ``alert`` began: as its sender says, where that can be true; else when the portal heard of it."""
    told = alert.starts_at
    if told is not None and alert.first_seen_at - BELIEVED <= told <= alert.first_seen_at:
        return told
    return alert.first_seen_at


def earliest(times: Iterable[datetime | None]) -> datetime | None:
    return min((at for at in times if at is not None), default=None)


def over_since(alerts: Iterable[Alert]) -> datetime | None:
    """Since when every alert is resolved; None while one is not, or when there is none."""
    ends = [alert.resolved_at for alert in alerts]
    known = [at for at in ends if at is not None]
    return max(known) if known and len(known) == len(ends) else None


def normal_since(alerts: Iterable[Alert]) -> datetime | None:
    """Since when no alert fires; None while one does, or when there is none."""
    quiet = [None if alert.firing else alert.normal_since or alert.resolved_at for alert in alerts]
    known = [at for at in quiet if at is not None]
    return max(known) if known and len(known) == len(quiet) else None


def resolves_itself_at(over: datetime | None, after_s: int | None) -> datetime | None:
    """When an incident of a rule ends by itself; None: not by itself, or not yet known."""
    return None if over is None or after_s is None else over + timedelta(seconds=after_s)


def reopens(resolved_at: datetime, fired_at: datetime) -> bool:
    """Does a new episode of a member alert, first heard of at ``fired_at``, open the incident again?"""
    return resolved_at < fired_at <= resolved_at + REOPEN_WITHIN
