"""What a post-mortem takes from its incident beside plain rows: words of the timeline, the suspects, a last look."""

from __future__ import annotations

from typing import Any

from apps.core.db import database_now
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.suspects import Suspect, rank
from apps.incidents.timeline.collecting import collect
from apps.incidents.timeline.of_incident import HAND
from apps.incidents.timeline.words import title_of


def words_of(row: TimelineEntry) -> str:
    """The title of a line, in the language that is active; what a person wrote is its own."""
    return row.text if row.source == HAND else title_of(row.what, row.detail)


def suspects_of(incident: Incident) -> list[dict[str, Any]]:
    """The ranked suspects as ``{"kind", "ref", "title", "text", "at", "url", "score", "reasons": [...]}``."""
    return [_as_dict(one) for one in rank(incident, database_now())]


def _as_dict(one: Suspect) -> dict[str, Any]:
    found = one.candidate
    return {
        "kind": found.kind,
        "ref": found.ref,
        "title": one.title,
        "text": one.text,
        "at": found.at.isoformat(),
        "url": found.url,
        "score": one.score,
        "reasons": [part.words for part in one.parts if part.points],
    }


def look_again(incident: Incident) -> None:
    """Have the timeline filled up to now before it is frozen."""
    collect(incident, database_now())
