"""What the incident says of itself: its updates, who took which role, whom people hold for the cause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from apps.audit.models import AuditEntry
from apps.incidents.models import StatusUpdate, UpdateKind
from apps.incidents.timeline.facts import Fact, Scope, Span

HAND: Final = "hand"
CULPRIT: Final = ("incident.culprit_named", "incident.culprit_taken_back")


def updates(scope: Scope, span: Span) -> list[Fact]:
    """Also those of incidents that were merged into this one; that they were is told once."""
    found = [*_updates(scope, span), *_culprit(scope, span)]
    return sorted(found, key=lambda fact: (fact.at, fact.ref))


def _updates(scope: Scope, span: Span) -> Iterator[Fact]:
    rows = StatusUpdate.objects.filter(incident__in=scope.incidents, at__lte=span.until)
    rows = rows.exclude(incident__in=scope.merged, kind=UpdateKind.MERGED)
    for row in rows.order_by("at", "pk")[: span.limit]:
        said = {"kind": row.kind, "state": row.state, "text": row.text, "more": row.detail}
        detail = {"incident": row.incident_id, "own": row.incident_id == scope.incident_id, **said}
        url = f"/incidents/{row.incident_id}"
        yield Fact(ref=str(row.pk), at=row.at, what=f"update_{row.kind}", detail=detail, url=url, actor=row.actor)


def _culprit(scope: Scope, span: Span) -> Iterator[Fact]:
    rows = AuditEntry.objects.filter(target=f"incident:{scope.incident_id}", action__in=CULPRIT, at__lte=span.until)
    for row in rows.order_by("pk")[: span.limit]:
        named = row.after if row.action == CULPRIT[0] else row.before
        detail = {"culprit": named or {}, "reason": row.reason[:500]}
        what, url = row.action.removeprefix("incident."), f"/incidents/{scope.incident_id}"
        yield Fact(ref=f"audit:{row.pk}", at=row.at, what=what, detail=detail, url=url, actor=row.actor)
