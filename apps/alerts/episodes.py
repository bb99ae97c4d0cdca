"""What one observation makes of an episode. Pure: the clock comes in as ``now`` (the database's).

An episode is one continuous firing of an alert, (source, fingerprint). It is decided per alert, never by the status
of its group, and never by absence: docs/design/alerts.md says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.alerts.parsing import FIRING

NORMAL_FOR: Final = timedelta(minutes=5)
FLAPS: Final = 3
FLAPS_WITHIN: Final = timedelta(hours=1)
# Two Alertmanagers, and the API, write one start to different fractions of a second.
SAME_START: Final = timedelta(seconds=2)
STALE_FOR: Final = timedelta(minutes=5)


class State(models.TextChoices):
    FIRING = "firing", _("Firing")
    RECOVERING = "recovering", _("Recovering")
    RESOLVED = "resolved", _("Resolved")


OPEN_STATES: Final = (State.FIRING, State.RECOVERING)


class Verdict(StrEnum):
    """What an observation was taken for; the alert log keeps it."""

    OPENED = "opened"
    REPEATED = "repeated"
    FLAPPED = "flapped"
    REFIRED = "refired"
    RECOVERING = "recovering"
    STILL_RECOVERING = "still_recovering"
    LATE = "late"
    STALE = "stale"
    HISTORY = "history"
    KNOWN_RESOLVED = "known_resolved"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True)
class Seen:
    """What counts of an observation. ``received_at`` is when its body was stored.

    ``overtaken``: a body stored after this one was read before it. ``confirmed``: the source's API says so now.
    """

    status: str
    starts_at: datetime | None
    ends_at: datetime | None
    received_at: datetime
    overtaken: bool = False
    confirmed: bool = False

    def before(self, moment: datetime | None) -> bool:
        """Was it stored before ``moment``? Clocks step back, so without having been overtaken it was not."""
        return self.overtaken and moment is not None and self.received_at < moment


@dataclass(frozen=True, slots=True)
class Current:
    """What counts of the newest episode of an alert. Times of the sender are None where it gave none."""

    state: str
    starts_at: datetime | None
    ends_at: datetime | None
    last_fired_at: datetime
    last_resolved_at: datetime | None = None
    normal_since: datetime | None = None
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """``state`` is what the episode is in afterwards; None leaves everything as it is."""

    verdict: Verdict
    state: State | None = None
    normal_since: datetime | None = None

    @property
    def new_episode(self) -> bool:
        return self.verdict in (Verdict.OPENED, Verdict.HISTORY)


def decide(current: Current | None, seen: Seen) -> Decision:
    """``current`` is the newest episode of the alert, open or not."""
    is_open = current is not None and current.state in OPEN_STATES
    if seen.status == FIRING:
        return _fired_open(current, seen) if current and is_open else _fired_closed(current, seen)
    return _resolved_open(current, seen) if current and is_open else _resolved_closed(current, seen)


def _fired_closed(current: Current | None, seen: Seen) -> Decision:
    if current is not None and not seen.confirmed and _is_replay(current, seen):
        return Decision(Verdict.STALE)
    return Decision(Verdict.OPENED, State.FIRING)


def _is_replay(current: Current, seen: Seen) -> bool:
    """A firing that began before an end we know of, heard soon after: two Alertmanagers racing (their issue 4008).

    Should it be true after all, it is repeated, or the API tells; then it is taken.
    """
    if current.resolved_at is None or seen.starts_at is None:
        return False
    ended = current.ends_at or current.resolved_at
    return seen.starts_at <= ended and seen.received_at < current.resolved_at + STALE_FOR


def _fired_open(current: Current, seen: Seen) -> Decision:
    if seen.before(current.last_resolved_at):
        return Decision(Verdict.LATE)
    if current.state == State.RECOVERING:
        return Decision(Verdict.REFIRED, State.FIRING)
    if _began_anew(current, seen):
        return Decision(Verdict.FLAPPED, State.FIRING)
    return Decision(Verdict.REPEATED, State.FIRING)


def _began_anew(current: Current, seen: Seen) -> bool:
    """It ended and began again between two posts, so nobody was told of the end."""
    if current.starts_at is None or seen.starts_at is None:
        return False
    # A future start is a clock that is wrong, not news; a start before the last one comes from another replica.
    after_last_post = seen.starts_at > max(current.starts_at + SAME_START, current.last_fired_at)
    return after_last_post and seen.starts_at <= seen.received_at


def _resolved_open(current: Current, seen: Seen) -> Decision:
    if seen.before(current.last_fired_at) or _ends_an_earlier(current, seen):
        return Decision(Verdict.LATE)
    if current.state == State.RECOVERING:
        return Decision(Verdict.STILL_RECOVERING, State.RECOVERING, current.normal_since)
    return Decision(Verdict.RECOVERING, State.RECOVERING, normal_since(current, seen))


def _ends_an_earlier(current: Current, seen: Seen) -> bool:
    """Both its start and its end are before this firing began."""
    if current.starts_at is None or seen.starts_at is None or seen.ends_at is None:
        return False
    return max(seen.starts_at, seen.ends_at) < current.starts_at - SAME_START


def normal_since(current: Current, seen: Seen) -> datetime:
    """Since when it is normal: the sender's end, not before the last we heard of it firing, not in the future."""
    ended = seen.ends_at or seen.received_at
    return min(max(ended, current.last_fired_at), seen.received_at)


def _resolved_closed(current: Current | None, seen: Seen) -> Decision:
    if current is not None and (seen.starts_at is None or not _is_newer(current, seen)):
        return Decision(Verdict.KNOWN_RESOLVED)
    return Decision(Verdict.HISTORY, State.RESOLVED)


def _is_newer(current: Current, seen: Seen) -> bool:
    """Does the resolution tell of a firing we never heard of?"""
    ended = current.ends_at or current.resolved_at
    return ended is None or (seen.starts_at is not None and seen.starts_at > ended + SAME_START)


# --- ending -------------------------------------------------------------------------------------
class Life(StrEnum):
    """Does the source still watch? UNKNOWN: it never sent a Watchdog, so nobody can tell."""

    ALIVE = "alive"
    BLIND = "blind"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Source:
    """``alive_since`` is when it began to be heard again after it was blind; ``normal_for`` is how long its alerts must
    be normal before they are resolved.
    """

    life: Life
    alive_since: datetime | None = None
    normal_for: timedelta = NORMAL_FOR


def resolves_at(current: Current, source: Source) -> datetime | None:
    """When a recovering episode is resolved if nothing happens; None while it is not, or its source is blind."""
    if current.state != State.RECOVERING or current.normal_since is None or source.life == Life.BLIND:
        return None
    since = max(current.normal_since, source.alive_since) if source.alive_since else current.normal_since
    return since + source.normal_for


def is_flapping(changes: list[datetime], now: datetime) -> bool:
    """``changes`` are the times it fired again; three within the hour is flapping."""
    return sum(1 for at in changes if now - at < FLAPS_WITHIN) >= FLAPS
