"""What happened to the services of an incident: their breakers, and what people changed of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import OuterRef, Q, QuerySet, Subquery

from apps.alerts.models import RoutingVersion
from apps.audit.models import AuditEntry
from apps.breakers.machine import Kind
from apps.breakers.models import BreakerEvent
from apps.incidents.timeline.facts import Fact, Scope, Span
from apps.services.models import ServiceVersion
from apps.services.versions import compared

TRANSITIONS: Final = (Kind.OPENED, Kind.REOPENED, Kind.CLOSED, Kind.LOCALLY_OPENED, Kind.LOCALLY_CLOSED)
OVERRIDES: Final = (
    Kind.FORCED_OPEN,
    Kind.FORCED_CLOSED,
    Kind.METRICS_ONLY,
    Kind.OVERRIDE_ENDED,
    Kind.RESET,
    Kind.TEST_ASKED,
)
# Before the start only what may have led to it is told.
OPENINGS: Final = (Kind.OPENED, Kind.LOCALLY_OPENED)
AUDITED: Final = ("service.paused", "service.resumed", "service.secret_rotated", "service.secret_retired")
CHANGES_NAMED: Final = 4
VALUE: Final = 80


def breakers(scope: Scope, span: Span) -> list[Fact]:
    """Openings and closings, each with the evidence that was frozen when it was decided."""
    return _events(scope, span, TRANSITIONS, OPENINGS)


def overrides(scope: Scope, span: Span) -> list[Fact]:
    return _events(scope, span, OVERRIDES, OVERRIDES)


def _events(scope: Scope, span: Span, kinds: tuple[Kind, ...], early: tuple[Kind, ...]) -> list[Fact]:
    began = Q(at__gte=milliseconds(scope.began)) | Q(kind__in=[kind.value for kind in early])
    rows = BreakerEvent.objects.filter(
        began,
        breaker__name__in=scope.services,
        kind__in=[kind.value for kind in kinds],
        at__gte=milliseconds(span.since),
        at__lte=milliseconds(span.until),
    )
    found = rows.select_related("breaker").order_by("at", "pk")[: span.limit]
    return [breaker_fact(row) for row in found]


def breaker_fact(row: BreakerEvent) -> Fact:
    name = row.breaker.name
    detail = {"service": name, "kind": row.kind, "evidence": row.detail}
    at, url = row.happened_at, f"/services/{name}/history/{row.pk}"
    return Fact(ref=str(row.pk), at=at, what=f"breaker_{row.kind}", detail=detail, url=url, actor=row.actor)


def milliseconds(at: datetime) -> int:
    """As the breakers count. In whole numbers: a float of so many digits would be off by one."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def changes(scope: Scope, span: Span) -> list[Fact]:
    """New versions of their settings, pauses, secrets."""
    found = [*_versions(scope, span), *_audited(scope, span)]
    return sorted(found, key=lambda fact: (fact.at, fact.ref))[: span.limit]


def _versions(scope: Scope, span: Span) -> Iterator[Fact]:
    rows = ServiceVersion.objects.filter(service__in=scope.services, at__gte=span.since, at__lte=span.until)
    for row in with_before(rows.order_by("at", "pk"))[: span.limit]:
        yield version_fact(row)


def with_before(rows: QuerySet[ServiceVersion]) -> QuerySet[ServiceVersion]:
    """Each with the definition it took the place of, as ``before``: one question, however many versions."""
    earlier = ServiceVersion.objects.filter(service=OuterRef("service"), version__lt=OuterRef("version"))
    return rows.annotate(before=Subquery(earlier.order_by("-version").values("definition")[:1]))


def version_fact(row: Any) -> Fact:
    """Of a row :func:`with_before`. Values are masked as on the page of the service: no secret reaches a timeline."""
    named = [] if row.before is None else compared(row.before, row.definition)
    shown = [[item.path, _short(item.before), _short(item.after)] for item in named[:CHANGES_NAMED]]
    detail = {
        "service": row.service_id,
        "version": row.version,
        "changes": shown,
        "more": max(0, len(named) - len(shown)),
        "reason": row.reason[:500],
    }
    what, url = (
        "service_created" if row.before is None else "service_changed",
        f"/services/{row.service_id}/settings/history",
    )
    return Fact(ref=f"{row.service_id}:{row.version}", at=row.at, what=what, detail=detail, url=url, actor=row.by)


def _short(value: Any) -> str | None:
    if value is None:
        return None
    text = str(value)
    return text if len(text) <= VALUE else text[: VALUE - 1] + "…"


def _audited(scope: Scope, span: Span) -> Iterator[Fact]:
    targets = [f"service:{name}" for name in scope.services]
    rows = AuditEntry.objects.filter(target__in=targets, action__in=AUDITED, at__gte=span.since, at__lte=span.until)
    for row in rows.order_by("at", "pk")[: span.limit]:
        yield audited_fact(row)


def audited_fact(row: AuditEntry) -> Fact:
    name = row.target.removeprefix("service:")
    detail = {"service": name, "reason": row.reason[:500]}
    what = row.action.replace(".", "_", 1)
    return Fact(ref=f"audit:{row.pk}", at=row.at, what=what, detail=detail, url=f"/services/{name}", actor=row.actor)


def routing(scope: Scope, span: Span) -> list[Fact]:
    """Who is told of alerts was changed: it belongs to every incident."""
    rows = RoutingVersion.objects.filter(created_at__gte=span.since, created_at__lte=span.until)
    return [routing_fact(row) for row in rows.order_by("created_at", "pk")[: span.limit]]


def routing_fact(row: RoutingVersion) -> Fact:
    detail = {"version": row.pk, "reason": row.reason[:500]}
    at, url = row.created_at, "/alerts/routing"
    return Fact(ref=str(row.pk), at=at, what="routing_saved", detail=detail, url=url, actor=row.created_by)
