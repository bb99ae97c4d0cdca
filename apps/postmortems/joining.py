"""What a post-mortem takes from its incident beside plain rows: words of the timeline, the suspects, a last look."""

from __future__ import annotations

from typing import Any

from apps.incidents.models import Incident, TimelineEntry


def words_of(row: TimelineEntry) -> str:
    """The title of a line, in the language that is active."""
    name = str(row.detail.get("title") or row.detail.get("name") or "")
    return f"{row.what.replace('_', ' ')} {name}".strip()


def suspects_of(incident: Incident) -> list[dict[str, Any]]:
    """The ranked suspects as ``{"kind", "ref", "title", "url", "score", "reasons": [...]}``."""
    return []


def look_again(incident: Incident) -> None:
    """Have the timeline filled up to now before it is frozen."""
