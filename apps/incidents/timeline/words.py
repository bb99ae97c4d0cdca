"""Each kind of line in words, in the reader's language: its icon, its tone, its title and what is said beside it.

What is stored is the kind and its detail; a kind nobody knows (of a newer release) is shown by its name.
"""

from __future__ import annotations

from collections.abc import Sequence

from apps.incidents.timeline.words_alerts import ALERTS, page_tone, worked, worked_text
from apps.incidents.timeline.words_incident import INCIDENT
from apps.incidents.timeline.words_kind import KINDS, Detail, Kind
from apps.incidents.timeline.words_portal import PORTAL

KINDS.update({**ALERTS, **PORTAL, **INCIDENT})


def kind_of(what: str) -> Kind:
    found = KINDS.get(what)
    if found is not None:
        return found
    if what.startswith("alert_"):
        return Kind("hand-raised", "", worked, worked_text)
    return Kind("information-circle", "", lambda detail: what.replace("_", " ").capitalize())


def tone_of(what: str, detail: Detail) -> str:
    """As the kind says, unless it went worse than its kind does."""
    return (page_tone(detail) if what in ("paged", "told_resolved") else "") or kind_of(what).tone


def title_of(what: str, detail: Detail) -> str:
    return kind_of(what).title(detail)


def text_of(what: str, detail: Detail) -> str:
    return kind_of(what).text(detail)


def many_of(what: str, details: Sequence[Detail]) -> str:
    many = kind_of(what).many
    return many(details) if many else ""
