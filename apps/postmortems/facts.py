"""What a post-mortem stands on, frozen as JSON so that it reads the same when rows are long deleted.

``{"schema": 1, "at", "span": {"from", "to"}, "services": [...], "incident": {...}, "figures": [...],
"timeline": [...], "suspects": [...], "culprit": {...}, "alerts": [...], "series": {...}}``.
Times are ISO 8601 in UTC, spans are half-open.
A figure is ``{"key", "unit", "value", "parts", "formula", "at", "rows"}`` (:mod:`apps.postmortems.figures`), the series
are those of :mod:`apps.postmortems.series`, a line is what :func:`line_of` makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.utils import translation

from apps.alerts.models import Episode
from apps.audit.canonical import plain
from apps.core.db import database_now
from apps.incidents.models import Incident, TimelineEntry
from apps.postmortems.figures import Scope, compute, scope_of
from apps.postmortems.joining import suspects_of, words_of
from apps.postmortems.series import series_of

SCHEMA: Final = 1
MOST_LINES: Final = 2000


def gather(incident: Incident, earlier: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The facts as they are now; ``earlier`` ones lend figures whose rows may be gone."""
    scope = scope_of(incident, database_now())
    with translation.override("en"):
        lines = timeline_of(incident)
        found = {
            "schema": SCHEMA,
            "at": database_now().isoformat(),
            "span": {"from": scope.start.isoformat(), "to": scope.end.isoformat()},
            "services": list(scope.services),
            "incident": _incident(incident),
            "figures": compute(scope, figures_by_key(earlier or {})),
            "timeline": lines,
            "suspects": suspects_of(incident),
            "culprit": dict(incident.culprit),
            "alerts": _alerts(scope),
            "series": series_of(scope, lines),
        }
    kept: dict[str, Any] = plain(found)
    return kept


def figures_by_key(facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {figure["key"]: figure for figure in facts.get("figures", [])}


def value_of(facts: Mapping[str, Any], key: str) -> float | None:
    """A figure's value; None when it is not known, or when the facts are older than the figure."""
    found = figures_by_key(facts).get(key, {}).get("value")
    return found if isinstance(found, int | float) else None


def _incident(incident: Incident) -> dict[str, Any]:
    return {
        "id": incident.pk,
        "title": incident.title,
        "severity": incident.severity,
        "state": incident.state,
        "started_at": incident.started_at.isoformat(),
        "detected_at": incident.detected_at.isoformat(),
        "acknowledged_at": _iso(incident.acknowledged_at),
        "mitigated_at": _iso(incident.mitigated_at),
        "resolved_at": _iso(incident.resolved_at),
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def timeline_of(incident: Incident) -> list[dict[str, Any]]:
    """Every line but the hidden ones, oldest first; of a very long one the pinned and the first."""
    shown = TimelineEntry.objects.filter(incident=incident, hidden=False).order_by("at", "id")
    rows = list(shown[: MOST_LINES + 1])
    if len(rows) > MOST_LINES:
        kept = {row.pk for row in rows[:MOST_LINES]}
        rows = [*rows[:MOST_LINES], *shown.filter(pinned=True).exclude(pk__in=kept)[:MOST_LINES]]
    return [line_of(row) for row in rows]


def line_of(row: TimelineEntry) -> dict[str, Any]:
    """``source`` and ``ref`` name the fact; ``title`` are its words in English, ``what`` and ``detail`` those of every
    language.
    """
    return {
        "at": row.at.isoformat(),
        "source": row.source,
        "ref": row.ref,
        "what": row.what,
        "detail": row.detail,
        "title": words_of(row),
        "text": row.text,
        "actor": row.actor,
        "url": row.url,
        "pinned": row.pinned,
    }


def _alerts(scope: Scope) -> list[dict[str, Any]]:
    rows = Episode.objects.filter(pk__in=scope.episodes).order_by("first_seen_at", "pk")
    return [
        {
            "id": row.pk,
            "name": row.name,
            "severity": row.severity,
            "service": row.service,
            "from": row.first_seen_at.isoformat(),
            "to": _iso(row.resolved_at),
        }
        for row in rows
    ]
