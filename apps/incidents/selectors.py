"""Reading incidents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from apps.core.errors import NotFound
from apps.core.pagination import Page, page_by_id
from apps.incidents.models import OPEN_STATES, Incident, State

OPEN: Final = "open"
CLOSED: Final = "closed"


@dataclass(frozen=True, slots=True)
class IncidentFilters:
    """An empty field is not a filter. ``state`` is one of them, or open, or closed. Times are of its start."""

    state: str = ""
    severity: str = ""
    service: str = ""
    text: str = ""
    after: datetime | None = None
    before: datetime | None = None

    def rows(self) -> QuerySet[Incident]:
        rows = _in_state(Incident.objects.all(), self.state)
        if self.severity:
            rows = rows.filter(severity=self.severity)
        if self.service:
            rows = rows.filter(pk__in=_about(self.service))
        if self.after:
            rows = rows.filter(started_at__gte=self.after)
        if self.before:
            rows = rows.filter(started_at__lt=self.before)
        return rows.filter(_says(self.text)) if self.text else rows


def _in_state(rows: QuerySet[Incident], state: str) -> QuerySet[Incident]:
    if state == OPEN:
        return rows.filter(state__in=OPEN_STATES)
    if state == CLOSED:
        return rows.filter(state__in=(State.RESOLVED, State.MERGED))
    return rows.filter(state=state) if state else rows


def _about(service: str) -> QuerySet[Incident, int]:
    rows = Incident.objects.filter(things__kind="service", things__ref=service)
    return rows.values_list("pk", flat=True)


def _says(text: str) -> Q:
    number = text.upper().removeprefix("INC-").removeprefix("#")
    exact = Q(pk=int(number)) if number.isascii() and number.isdigit() and len(number) < 19 else Q()
    words = Q(title__icontains=text) | Q(summary__icontains=text)
    return exact | words if exact else words


def list_incidents(filters: IncidentFilters, *, cursor: int | None = None, limit: int = 50) -> Page[Incident]:
    """Newest first."""
    return page_by_id(filters.rows().select_related("rule"), cursor=cursor, limit=limit)


def open_incidents(limit: int = 100) -> list[Incident]:
    """Those that are run now, the worst first, then the longest running."""
    rows = Incident.objects.filter(state__in=OPEN_STATES).order_by("severity", "started_at", "pk")
    return list(rows[:limit])


def open_count() -> int:
    return Incident.objects.filter(state__in=OPEN_STATES).count()


def get_incident(incident_id: int) -> Incident:
    found = Incident.objects.select_related("rule", "merged_into").filter(pk=incident_id).first()
    if found is None:
        raise NotFound(_("There is no incident {number}.").format(number=incident_id))
    return found
