"""The kinds of suspects there are today, and how each is found: by time, over an index, the newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.db.models import F, QuerySet
from django.db.models import Window as RowNth
from django.db.models.functions import RowNumber
from django.utils.translation import gettext_lazy as _

from apps.alerts.models import RoutingVersion
from apps.audit.models import AuditEntry
from apps.breakers.machine import Kind
from apps.breakers.models import BreakerEvent
from apps.incidents.suspects_kinds import Candidate, SuspectKind, Window
from apps.incidents.timeline.facts import Fact
from apps.incidents.timeline.of_outbox import replay_started, services_of_replay
from apps.incidents.timeline.of_services import (
    audited_fact,
    breaker_fact,
    milliseconds,
    routing_fact,
    version_fact,
    with_before,
)
from apps.outbox.models import Replay
from apps.services.models import ServiceVersion

OPENINGS: Final = (Kind.OPENED, Kind.LOCALLY_OPENED)
OVERRIDES: Final = (Kind.FORCED_OPEN, Kind.FORCED_CLOSED, Kind.METRICS_ONLY, Kind.OVERRIDE_ENDED, Kind.RESET)
PAUSES: Final = ("service.paused", "service.resumed")
SECRETS: Final = ("service.secret_rotated", "service.secret_retired")
TEMPLATES: Final = ("template.activated", "template.written", "template.archived")


def _candidate(kind: str, fact: Fact, services: Iterable[str], group: str = "") -> Candidate:
    return Candidate(
        kind=kind,
        ref=fact.ref,
        at=fact.at,
        what=fact.what,
        detail=fact.detail,
        url=fact.url,
        actor=fact.actor,
        services=tuple(services),
        group=group,
    )


def _newest(rows: QuerySet[Any], word: str, window: Window) -> QuerySet[Any]:
    """The newest of each ``word``: a storm of one of them hides no other."""
    nth = RowNth(RowNumber(), partition_by=F(word), order_by=[F("at").desc(), F("pk").desc()])
    newest: QuerySet[Any] = rows.annotate(nth=nth).filter(nth__lte=window.limit).order_by("-at", "-pk")
    return newest


def _breaker_events(window: Window) -> QuerySet[BreakerEvent]:
    rows = BreakerEvent.objects.filter(
        kind__in=[word.value for word in (*OPENINGS, *OVERRIDES)],
        at__gte=milliseconds(window.since),
        at__lte=milliseconds(window.until),
    )
    return _newest(rows.select_related("breaker"), "kind", window)


def _of_breakers(kind: str, kinds: tuple[Kind, ...], window: Window, *, together: bool) -> Iterator[Candidate]:
    words = {word.value for word in kinds}
    for row in window.once("breakers", _breaker_events):
        if row.kind in words:
            name = row.breaker.name
            yield _candidate(kind, breaker_fact(row), [name], f"{kind}:{name}:{row.kind}" if together else "")


def openings(window: Window) -> Iterator[Candidate]:
    return _of_breakers("breaker", OPENINGS, window, together=True)


def overrides(window: Window) -> Iterator[Candidate]:
    return _of_breakers("override", OVERRIDES, window, together=False)


def settings(window: Window) -> Iterator[Candidate]:
    rows = ServiceVersion.objects.filter(at__gte=window.since, at__lte=window.until).order_by("-at", "-pk")
    for row in with_before(rows)[: window.limit]:
        yield _candidate("settings", version_fact(row), [row.service_id])


def _audit_entries(window: Window) -> QuerySet[AuditEntry]:
    actions = (*PAUSES, *SECRETS, *TEMPLATES)
    rows = AuditEntry.objects.filter(action__in=actions, at__gte=window.since, at__lte=window.until)
    return _newest(rows, "action", window)


def _done(actions: tuple[str, ...], window: Window) -> Iterator[AuditEntry]:
    return (row for row in window.once("audit", _audit_entries) if row.action in actions)


def _audited(kind: str, actions: tuple[str, ...], window: Window) -> Iterator[Candidate]:
    for row in _done(actions, window):
        yield _candidate(kind, audited_fact(row), [row.target.removeprefix("service:")])


def pauses(window: Window) -> Iterator[Candidate]:
    return _audited("pause", PAUSES, window)


def secrets(window: Window) -> Iterator[Candidate]:
    return _audited("secret", SECRETS, window)


def templates(window: Window) -> Iterator[Candidate]:
    """Another text goes out from then on. It touches no service in particular: many may use it."""
    for row in _done(TEMPLATES, window):
        name = row.target.removeprefix("template ")
        after = row.after if isinstance(row.after, dict) else {}
        detail = {"template": name, "version": after.get("version"), "reason": row.reason[:500]}
        what = row.action.replace(".", "_", 1)
        fact = Fact(
            ref=f"audit:{row.pk}", at=row.at, what=what, detail=detail, url=f"/templates/{name}", actor=row.actor
        )
        yield _candidate("template", fact, [])


def routing(window: Window) -> Iterator[Candidate]:
    rows = RoutingVersion.objects.filter(created_at__gte=window.since, created_at__lte=window.until)
    for row in rows.order_by("-created_at", "-pk")[: window.limit]:
        yield _candidate("routing", routing_fact(row), [])


def replays(window: Window) -> Iterator[Candidate]:
    """Many letters at once may be more than a service bears."""
    rows = Replay.objects.filter(created_at__gte=window.since, created_at__lte=window.until).order_by("-pk")
    for row in rows[: window.limit]:
        services = services_of_replay(row)
        yield _candidate("replay", replay_started(row, services or [""]), services)


KINDS: Final = (
    SuspectKind("settings", _("Change of settings"), "wrench-screwdriver", 18, settings),
    SuspectKind("secret", _("Change of a secret"), "key", 17, secrets),
    SuspectKind("override", _("Override of a breaker"), "lock-closed", 15, overrides),
    SuspectKind("pause", _("Pause of a service"), "pause", 15, pauses),
    SuspectKind("template", _("Change of a template"), "document-text", 14, templates),
    SuspectKind("breaker", _("Opening of a breaker"), "bolt", 12, openings),
    SuspectKind("replay", _("Replay of dead letters"), "arrow-path", 10, replays),
    SuspectKind("routing", _("Change of the routing"), "map", 6, routing),
)
