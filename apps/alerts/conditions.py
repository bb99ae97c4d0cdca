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

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max

from apps.alerts import bounced, own
from apps.alerts.episodes import State as EpisodeState
from apps.alerts.models import Episode, Notification
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
LATE_S: Final = 60
LATE_WITHIN: Final = timedelta(minutes=10)
# Where the runbooks are, of the repository this portal is made from.
RUNBOOKS: Final = "docs/runbooks/"
WORKER_SILENT: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Holds:
    """A condition that holds now, of one thing: its labels tell it from the others of its name."""

    severity: str
    text: str
    labels: Mapping[str, str] = field(default_factory=dict)
    # Of the page of this portal that shows it.
    page: str = ""
    runbook: str = ""

    def annotations(self) -> dict[str, str]:
        found = {"runbook_url": f"{RUNBOOKS}{self.runbook}.md" if self.runbook else ""}
        found["url"] = f"{settings.PUBLIC_URL}{self.page}" if settings.PUBLIC_URL and self.page else self.page
        return {name: value for name, value in found.items() if value}


def breaker_open(now: datetime) -> Iterator[Holds]:
    """A breaker that opened by itself. One that a person forced open is no news to people."""
    critical = set(Service.objects.filter(criticality="critical").values_list("pk", flat=True))
    for snapshot in snapshot_all():
        if snapshot.state in (State.OPEN, State.HALF_OPEN):
            severity = "critical" if snapshot.service in critical else "warning"
            text = f"The breaker of {snapshot.service} is open: its calls fail, and its messages wait."
            page = f"/services/{snapshot.service}"
            yield Holds(severity, text, {"service": snapshot.service}, page, "breaker-open")


def dead_letters_growing(now: datetime) -> Iterator[Holds]:
    lately = DeadLetter.objects.filter(state=DeadLetterState.OPEN, died_at__gte=now - LETTERS_WITHIN)
    counts = lately.values_list("service").annotate(letters=Count("pk")).filter(letters__gte=LETTERS)
    for service, _ in counts.order_by("service"):
        text = f"{LETTERS} or more messages to {service} became dead letters within 10 minutes."
        page = f"/dead-letters?service={service}"
        yield Holds("warning", text, {"service": service}, page, "dead-letters-growing")


def backlog_high(now: datetime) -> Iterator[Holds]:
    for service, waiting in sorted(backlog().items()):
        if waiting.waiting > BACKLOG:
            text = f"More than {BACKLOG} messages to {service} wait."
            yield Holds("warning", text, {"service": service}, f"/outbox?service={service}", "backlog-high")


def no_worker(now: datetime) -> Iterator[Holds]:
    """No delivery worker has been heard of for a minute, though one was before."""
    beats = BreakerWorker.objects.filter(queue="delivery").values_list("synced_at", flat=True)
    newest = max(beats, default=None)
    if newest is not None and newest < (now - WORKER_SILENT).timestamp() * 1000:
        text = "No delivery worker has been heard of for a minute: messages are accepted and wait."
        yield Holds("critical", text, page="/", runbook="no-worker")


def audit_chain_broken(now: datetime) -> Iterator[Holds]:
    if audit_checks.status().word == "broken":
        text = "The audit trail does not fit together: a row was changed, removed or re-ordered."
        yield Holds("security", text, page="/audit", runbook="audit-chain-broken")


def escalation_late(now: datetime) -> Iterator[Holds]:
    """Pages went out more than a minute late, not long ago. While nothing goes out at all, the watcher says so."""
    lately = Notification.objects.filter(decided_at__gte=now - LATE_WITHIN, late_s__gt=LATE_S)
    found = lately.exclude(escalation__episode__source=own.SOURCE).aggregate(most=Max("late_s"), pages=Count("pk"))
    if found["pages"]:
        text = f"Pages went out late, by up to {found['most']} s: the escalation stood still."
        yield Holds("warning", text, page="/alerts", runbook="escalation-late")


def page_not_delivered(now: datetime) -> Iterator[Holds]:
    """Somebody should know of an alert, and no page about it arrived or is on its way."""
    if bounced.nobody_reached(now).exclude(episode__source=own.SOURCE).exists():
        text = "An alert fires and nobody has been reached: its pages were not delivered."
        yield Holds("critical", text, page="/alerts", runbook="escalation-late")


CONDITIONS: Final[Mapping[str, Callable[[datetime], Iterator[Holds]]]] = {
    "BreakerOpen": breaker_open,
    "DeadLettersGrowing": dead_letters_growing,
    "BacklogHigh": backlog_high,
    "NoDeliveryWorker": no_worker,
    "AuditChainBroken": audit_chain_broken,
    "EscalationLate": escalation_late,
    "PageNotDelivered": page_not_delivered,
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
        changed += own.tell(name, firing=True, now=now, labels=labels, text=found.text, annotations=found.annotations())
    firing = Episode.objects.filter(source=own.SOURCE, name=name, state=EpisodeState.FIRING)
    for episode in firing:
        labels = {key: value for key, value in episode.labels.items() if key != "alertname"}
        if frozenset(labels.items()) not in held:
            text = episode.annotations.get("summary", "")
            changed += own.tell(name, firing=False, now=now, labels=labels, text=text)
    return changed
