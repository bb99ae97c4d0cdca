"""The portal's own alerts: what is wrong with the portal itself, as the database knows it.

One list, looked at every sweep: what holds fires, what no longer holds ends, and then follows the same log and routes
as everybody's alerts. A new kind joins by a function in ``CONDITIONS``. Nothing here waits for a signal, so nothing
is lost with one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Count

from apps.alerts import own
from apps.alerts.episodes import State as EpisodeState
from apps.alerts.models import Episode
from apps.audit import checks as audit_checks
from apps.breakers.machine import State
from apps.breakers.models import BreakerWorker
from apps.breakers.selectors import snapshot_all
from apps.core.db import database_now
from apps.outbox.figures import backlog
from apps.outbox.models import DeadLetter, DeadLetterState
from apps.services.models import Service

BACKLOG: Final = 1000
LETTERS: Final = 50
LETTERS_WITHIN: Final = timedelta(minutes=10)
WORKER_SILENT: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Holds:
    """A condition that holds now, of one thing: its labels tell it from the others of its name."""

    severity: str
    text: str
    labels: Mapping[str, str] = field(default_factory=dict)


def breaker_open(now: datetime) -> Iterator[Holds]:
    """A breaker that opened by itself. One that a person forced open is no news to people."""
    critical = set(Service.objects.filter(criticality="critical").values_list("pk", flat=True))
    for snapshot in snapshot_all():
        if snapshot.state in (State.OPEN, State.HALF_OPEN):
            severity = "critical" if snapshot.service in critical else "warning"
            text = f"The breaker of {snapshot.service} is open: its calls fail, and its messages wait."
            yield Holds(severity, text, {"service": snapshot.service})


def dead_letters_growing(now: datetime) -> Iterator[Holds]:
    lately = DeadLetter.objects.filter(state=DeadLetterState.OPEN, died_at__gte=now - LETTERS_WITHIN)
    counts = lately.values_list("service").annotate(letters=Count("pk")).filter(letters__gte=LETTERS)
    for service, _ in counts.order_by("service"):
        text = f"{LETTERS} or more messages to {service} became dead letters within 10 minutes."
        yield Holds("warning", text, {"service": service})


def backlog_high(now: datetime) -> Iterator[Holds]:
    for service, waiting in sorted(backlog().items()):
        if waiting.waiting > BACKLOG:
            yield Holds("warning", f"More than {BACKLOG} messages to {service} wait.", {"service": service})


def no_worker(now: datetime) -> Iterator[Holds]:
    """No delivery worker has been heard of for a minute, though one was before."""
    beats = BreakerWorker.objects.filter(queue="delivery").values_list("synced_at", flat=True)
    newest = max(beats, default=None)
    if newest is not None and newest < (now - WORKER_SILENT).timestamp() * 1000:
        yield Holds("critical", "No delivery worker has been heard of for a minute: messages are accepted and wait.")


def audit_chain_broken(now: datetime) -> Iterator[Holds]:
    if audit_checks.status().word == "broken":
        yield Holds("security", "The audit trail does not fit together: a row was changed, removed or re-ordered.")


CONDITIONS: Final[Mapping[str, Callable[[datetime], Iterator[Holds]]]] = {
    "BreakerOpen": breaker_open,
    "DeadLettersGrowing": dead_letters_growing,
    "BacklogHigh": backlog_high,
    "NoDeliveryWorker": no_worker,
    "AuditChainBroken": audit_chain_broken,
}


def look(now: datetime | None = None) -> int:
    """Fire what holds and is not firing, end what fires and no longer holds. Returns how many changed."""
    at = now or database_now()
    return sum(_look_at(name, condition, at) for name, condition in CONDITIONS.items())


@transaction.atomic
def _look_at(name: str, condition: Callable[[datetime], Iterator[Holds]], now: datetime) -> int:
    changed = 0
    held = set()
    for found in condition(now):
        labels = {"severity": found.severity, **found.labels}
        held.add(frozenset(labels.items()))
        changed += own.tell(name, firing=True, now=now, labels=labels, text=found.text)
    firing = Episode.objects.filter(source=own.SOURCE, name=name, state=EpisodeState.FIRING)
    for episode in firing:
        labels = {key: value for key, value in episode.labels.items() if key != "alertname"}
        if frozenset(labels.items()) not in held:
            text = episode.annotations.get("summary", "")
            changed += own.tell(name, firing=False, now=now, labels=labels, text=text)
    return changed
