"""What of incidents needs a person now: those without anybody at them, and those that may be over."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.console.selectors.incidents import IncidentRow, open_rows
from apps.console.selectors.people import Need

MOST = 3


def incident_needs() -> list[Need]:
    """The worst ones that are open."""
    return [_need(row) for row in open_rows()[:MOST]]


def _need(row: IncidentRow) -> Need:
    incident = row.incident
    tone = row.severity.tone if row.severity.tone in ("bad", "warning") else "unknown"
    title = f"{incident.severity.upper()} · {incident.title}"
    url = reverse("incident", args=[incident.pk])
    return Need(tone, title, _words(row), url, f"INC-{incident.pk}", incident.started_at)


def _words(row: IncidentRow) -> str:
    who = _("{who} leads").format(who=row.commander) if row.commander else _("nobody leads")
    parts = [str(row.mark.label).capitalize(), who]
    if row.alerts:
        text = ngettext("{firing} of {n} alert fires", "{firing} of {n} alerts fire", row.alerts)
        parts.append(text.format(firing=row.firing, n=row.alerts))
    return " · ".join(parts)
