"""Stored posts through a draft of the routing: what is read for it, and who targets lead to at a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.alerts.dry_run import Heard, Outcome, Reached, compare
from apps.alerts.episodes import Seen
from apps.alerts.models import AlertDelivery, AlertSource, DeliveryState, Rotation
from apps.alerts.on_call import instead_of, turn_of
from apps.alerts.parsing import Unreadable, parse, unpacked
from apps.alerts.policies import facts
from apps.alerts.reaching import NEEDS_RECIPIENT
from apps.alerts.rotations import Instead, Turn, on_call
from apps.alerts.routing import Routing
from apps.alerts.severity import severity_of
from apps.alerts.shown import visible_line
from apps.console.selectors.on_call import kept_overrides
from apps.core.masking import mask_recipient
from apps.services.models import Service

# So that an answer comes within seconds whatever was posted: the newest that fit are taken, and it says so.
MOST_POSTS: Final = 1000
MOST_BYTES: Final = 30_000_000
MOST_ALERTS: Final = 20_000
CHUNK: Final = 100
NIGHT: Final = (22, 7)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which posts: the newest ``last`` of ``source`` (empty: of all), not older than ``since``."""

    last: int = MOST_POSTS
    source: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class DryRun:
    """``left_out``: posts that were chosen and did not fit; ``unread``: those that could not be read."""

    outcome: Outcome
    posts: int
    left_out: int
    unread: int
    first_at: datetime | None
    last_at: datetime | None


def dry_run(choice: Choice, before: Routing, after: Routing, now: datetime) -> DryRun:
    """``before`` is in force, ``after`` the draft."""
    ids, left_out = _chosen(choice)
    reading = _Reading()
    heard = list(reading.heard(ids))
    outcome = compare(heard, before, after, Ways.load(), now, is_night=_is_night)
    return DryRun(outcome, len(ids), left_out + reading.left_out, reading.unread, reading.first_at, reading.last_at)


def _is_night(at: datetime) -> bool:
    """In the reader's time zone."""
    hour = at.astimezone(timezone.get_current_timezone()).hour
    return hour >= NIGHT[0] or hour < NIGHT[1]


def _chosen(choice: Choice) -> tuple[list[int], int]:
    """Ids, oldest first, and how many of the chosen did not fit."""
    rows = AlertDelivery.objects.exclude(state=DeliveryState.QUARANTINED).order_by("-pk")
    if choice.source:
        rows = rows.filter(source=choice.source)
    limit = min(choice.last, MOST_POSTS)
    sized = list(rows.values_list("pk", "size", "received_at")[: limit + 1])
    fits = [(pk, size) for pk, size, at in sized if choice.since is None or at >= choice.since]
    ids, total = [], 0
    for pk, size in fits[:limit]:
        total += size
        if total > MOST_BYTES:
            break
        ids.append(pk)
    more = len(fits) > limit and choice.last >= MOST_POSTS
    return ids[::-1], max(0, min(len(fits), limit) - len(ids)) + more


class _Reading:
    """Bodies one chunk at a time, so that few of them are in memory."""

    def __init__(self) -> None:
        self.unread = self.left_out = self.alerts = 0
        self.first_at: datetime | None = None
        self.last_at: datetime | None = None
        self.watchdogs = dict(AlertSource.objects.values_list("pk", "watchdog"))
        self.services = set(Service.objects.values_list("pk", flat=True))

    def heard(self, ids: list[int]) -> Iterator[Heard]:
        for start in range(0, len(ids), CHUNK):
            for delivery in AlertDelivery.objects.filter(pk__in=ids[start : start + CHUNK]).order_by("pk"):
                yield from self._of(delivery)

    def _of(self, delivery: AlertDelivery) -> Iterator[Heard]:
        if self.alerts >= MOST_ALERTS:
            self.left_out += 1
            return
        try:
            encoding = delivery.headers.get("Content-Encoding", "")
            said = parse(unpacked(bytes(delivery.body), encoding, int(settings.ALERT_BODY_BYTES)))
        except Unreadable:
            self.unread += 1
            return
        self.first_at, self.last_at = self.first_at or delivery.received_at, delivery.received_at
        for seen in said.observations:
            if not self._is_heartbeat(delivery.source_id, seen.labels):
                self.alerts += 1
                yield self._heard(delivery, seen)

    def _is_heartbeat(self, source: str, labels: Mapping[str, str]) -> bool:
        name = self.watchdogs.get(source, "")
        return bool(name) and labels.get("alertname") == name

    def _heard(self, delivery: AlertDelivery, seen: Any) -> Heard:
        severity = str(severity_of(seen.labels))
        named = seen.labels.get("service", "")
        service = named if named in self.services else ""
        return Heard(
            source=delivery.source_id,
            fingerprint=seen.fingerprint,
            name=visible_line(seen.name, 120),
            severity=severity,
            facts=facts(seen.labels, severity=severity, source=delivery.source_id, service=service),
            seen=Seen(seen.status, seen.starts_at, seen.ends_at, delivery.received_at),
        )


# --- who targets lead to ---------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Roster:
    service: str
    turn: Turn
    instead: list[Instead]
    recipients: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ways:
    """Services, owners and rotations, read once; asked for any moment."""

    channels: Mapping[str, str]
    owner_of: Mapping[str, str]
    rosters: Mapping[str, _Roster]

    @classmethod
    def load(cls) -> Ways:
        services = list(Service.objects.values_list("pk", "channel", "owner"))
        return cls(
            channels={name: channel for name, channel, _owner in services},
            owner_of={name: owner for name, _channel, owner in services if owner},
            rosters={rotation.name: _roster(rotation) for rotation in kept_overrides(Rotation.objects.all())},
        )

    def __call__(self, routing: Routing, name: str, about: Mapping[str, str], at: datetime) -> Reached:
        target = routing.targets[name]
        if target.owner:
            return self._owner(routing, name, about, at)
        if target.rotation:
            return self._on_call(name, target.rotation, at)
        return self._service(name, target.service, target.recipient)

    def _owner(self, routing: Routing, name: str, about: Mapping[str, str], at: datetime) -> Reached:
        owner = self.owner_of.get(about.get("service", ""), "")
        to = routing.owners.get(owner, "")
        if not to or routing.targets[to].owner:
            return Reached(name, problem="no_owner", missing=owner)
        found = self(routing, to, about, at)
        return Reached(name, found.service, found.recipient, found.person, found.problem, found.missing)

    def _on_call(self, name: str, rotation: str, at: datetime) -> Reached:
        roster = self.rosters.get(rotation)
        if roster is None:
            return Reached(name, problem="no_rotation", missing=rotation)
        person = on_call(roster.turn, roster.instead, at)
        if not person:
            return Reached(name, problem="nobody_on_call", missing=rotation)
        return self._service(name, roster.service, roster.recipients.get(person, ""), person)

    def _service(self, name: str, service: str, recipient: str, person: str = "") -> Reached:
        channel = self.channels.get(service)
        if channel is None:
            return Reached(name, service, person=person, problem="no_service", missing=service)
        if channel in NEEDS_RECIPIENT and not recipient:
            return Reached(name, service, person=person, problem="no_recipient", missing=person or name)
        return Reached(name, service, recipient if channel not in ("pagerduty", "http") else "", person)


def _roster(rotation: Rotation) -> _Roster:
    overrides = list(rotation.overrides.all())
    recipients = {each.person: each.recipient for each in sorted(overrides, key=lambda each: each.pk)}
    recipients |= {person["email"]: person.get("recipient", "") for person in rotation.people}
    return _Roster(rotation.service, turn_of(rotation), instead_of(overrides), recipients)


PROBLEMS: Final[Mapping[str, Callable[[str], str]]] = {
    "no_service": lambda name: _("{name} is no configured service").format(name=name),
    "no_recipient": lambda name: _("{name} has no recipient").format(name=name),
    "no_rotation": lambda name: _("there is no rotation {name}").format(name=name),
    "nobody_on_call": lambda name: _("nobody is on call in {name}").format(name=name),
    "no_owner": lambda name: (
        _("no target is set for the owner {name}").format(name=name) if name else _("the alert names no owned service")
    ),
}


def problem_words(reached: Reached) -> str:
    return PROBLEMS[reached.problem](reached.missing) if reached.problem else ""


def shown_recipient(text: str, *, clear: bool) -> str:
    """A channel of a chat belongs to nobody; addresses and numbers do."""
    return visible_line(text, 80) if clear or text.startswith("#") else mask_recipient(text)
