"""What people do with a timeline: write a line, correct or take out their own, pin, hide. All of it is audited.

Also after the end, for the post-mortem; not in an incident that was merged, whose story goes on in another one.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from django.db import transaction
from django.utils.translation import gettext as _

from apps.alerts.notices import one_line
from apps.core.actor import INCIDENTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict, Invalid, NotFound
from apps.incidents.holding import clean_text, clean_time, held, noted, over_words
from apps.incidents.models import Incident, State, TimelineEntry
from apps.incidents.timeline.of_incident import HAND

LONGEST_LINE: Final = 2000
LONGEST_LINK: Final = 300
SCHEMES: Final = ("http", "https")


@transaction.atomic
def add_line(*, incident_id: int, actor: Actor, text: str, at: datetime | None = None, url: str = "") -> TimelineEntry:
    """A line in one's own words, now or at a time that has been. Raises Invalid naming the field."""
    require(actor, INCIDENTS_WORK)
    incident, now = _held(incident_id), database_now()
    line = TimelineEntry.objects.create(
        incident=incident,
        source=HAND,
        ref=uuid.uuid4().hex,
        what="line",
        at=clean_time(at, now, "at") if at else now,
        text=clean_line(text),
        url=clean_link(url),
        actor=str(actor)[:200],
    )
    noted(incident, "incident.line_added", "timeline", actor=actor, after=_shown(line))
    return line


@transaction.atomic
def edit_line(
    *, incident_id: int, line_id: int, actor: Actor, text: str, at: datetime, url: str = "", seen: str | None = None
) -> TimelineEntry:
    """Correct a line one wrote. ``seen`` is its text as it was looked at; Conflict when it is another by now."""
    require(actor, INCIDENTS_WORK)
    incident, line = _held(incident_id), own_line(incident_id, line_id, actor)
    if seen is not None and seen != line.text:
        raise Conflict(_("This line was changed meanwhile. Look at it again before you change it."))
    before = _shown(line)
    line.text, line.url = clean_line(text), clean_link(url)
    line.at = line.at if at == line.at else clean_time(at, database_now(), "at")
    if _shown(line) != before:
        line.save(update_fields=["text", "url", "at"])
        noted(incident, "incident.line_changed", "timeline", actor=actor, before=before, after=_shown(line))
    return line


@transaction.atomic
def delete_line(*, incident_id: int, line_id: int, actor: Actor) -> None:
    """Take out a line one wrote. The audit trail keeps what it said."""
    require(actor, INCIDENTS_WORK)
    incident, line = _held(incident_id), own_line(incident_id, line_id, actor)
    before = _shown(line)
    line.delete()
    noted(incident, "incident.line_deleted", "timeline", actor=actor, before=before)


def pin(*, incident_id: int, line_id: int, actor: Actor, on: bool = True) -> TimelineEntry:
    """Mark a line as one of those that tell the story. Pinning a hidden one shows it again."""
    change = {"pinned": True, "hidden": False} if on else {"pinned": False}
    return _marked(incident_id, line_id, actor, "incident.line_pinned" if on else "incident.line_unpinned", change)


def hide(*, incident_id: int, line_id: int, actor: Actor, on: bool = True) -> TimelineEntry:
    """Take a line out of sight, also of the post-mortem. It stays in the table, and can be shown again."""
    change = {"hidden": True, "pinned": False} if on else {"hidden": False}
    return _marked(incident_id, line_id, actor, "incident.line_hidden" if on else "incident.line_shown", change)


@transaction.atomic
def _marked(incident_id: int, line_id: int, actor: Actor, action: str, change: Mapping[str, bool]) -> TimelineEntry:
    """Doing it twice changes nothing and writes nothing."""
    require(actor, INCIDENTS_WORK)
    incident, line = _held(incident_id), _line(incident_id, line_id)
    before = {name: getattr(line, name) for name in change}
    if before != change:
        for name, value in change.items():
            setattr(line, name, value)
        line.save(update_fields=list(change))
        noted(incident, action, "timeline", actor=actor, before=_named(line, before), after=_named(line, change))
    return line


def _named(line: TimelineEntry, marks: Mapping[str, bool]) -> dict[str, Any]:
    return {"line": line.pk, "source": line.source, "ref": line.ref, "at": line.at.isoformat(), **marks}


# --- what is taken --------------------------------------------------------------------------------
def clean_line(text: str) -> str:
    found = clean_text(text, "text", required=True)
    if len(found) > LONGEST_LINE:
        raise Invalid.field("text", _("write 1 to {most} characters").format(most=LONGEST_LINE))
    return found


def clean_link(url: str) -> str:
    """http, https, or a path of this portal. Nothing else is ever made into a link, whatever it looks like."""
    text = url.strip()
    if not text:
        return ""
    if len(text) > LONGEST_LINK or not text.isprintable() or any(c in text for c in " \\\"'<>`"):
        raise Invalid.field("url", _("must be an address of at most {most} characters").format(most=LONGEST_LINK))
    if text.startswith("/") and not text.startswith("//"):
        return text
    try:
        parts = urlsplit(text)
        usable = parts.scheme.lower() in SCHEMES and bool(parts.hostname) and parts.username is None
    except ValueError:
        usable = False
    if not usable:
        raise Invalid.field("url", _("must begin with https://, http:// or, for a page of this portal, with /"))
    return text


# --- the steps ------------------------------------------------------------------------------------
def _held(incident_id: int) -> Incident:
    found = held(incident_id)
    if found.state == State.MERGED:
        raise Conflict(over_words(found))
    return found


def _line(incident_id: int, line_id: int) -> TimelineEntry:
    line = TimelineEntry.objects.filter(incident=incident_id, pk=line_id).first()
    if line is None:
        raise NotFound(_("This line is not in the timeline of INC-{number} any more.").format(number=incident_id))
    return line


def own_line(incident_id: int, line_id: int, actor: Actor) -> TimelineEntry:
    """A line that ``actor`` wrote. Raises NotFound, and Conflict for what is of somebody else or of the portal."""
    line = _line(incident_id, line_id)
    if line.source != HAND:
        raise Conflict(_("The portal wrote this line from a fact, so nobody can change it. Hide it, or add your own."))
    if line.actor != str(actor)[:200]:
        text = _("{who} wrote this line, so only they can change it. Hide it, or add your own.")
        raise Conflict(text.format(who=line.actor))
    return line


def _shown(line: TimelineEntry) -> dict[str, Any]:
    return {"line": line.pk, "at": line.at.isoformat(), "text": one_line(line.text, 500), "url": line.url}
