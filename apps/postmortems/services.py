"""Drafting a post-mortem and writing in it. Texts of people are never written by the portal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.core.actor import INCIDENTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict, NotFound
from apps.incidents.models import Incident
from apps.incidents.models import State as IncidentState
from apps.postmortems.drafting import drafted
from apps.postmortems.facts import gather
from apps.postmortems.joining import look_again
from apps.postmortems.models import PostMortem, PostMortemVersion, State
from apps.postmortems.sections import changed, tidied, tidy, tidy_title, words_of
from apps.postmortems.versions import held, keep, kept, needs_state


class EditConflict(Conflict):
    """Somebody saved while somebody else was typing. ``theirs`` is the version that is there now."""

    def __init__(self, theirs: PostMortemVersion) -> None:
        text = _("{who} saved version {version} while you were writing. Nothing of yours is lost: compare, then save.")
        super().__init__(
            text.format(who=theirs.actor, version=theirs.number), detail={"version": theirs.number, "by": theirs.actor}
        )
        self.theirs = theirs


def draft(*, incident_id: int, actor: Actor, note: str = "") -> PostMortem:
    """The post-mortem of an incident, begun from what is known of it; the one that is there already otherwise.

    Facts are asked before the row is held, because counting may take a while. Raises Conflict for a merged incident.
    """
    require(actor, INCIDENTS_WORK)
    incident = Incident.objects.filter(pk=incident_id).first()
    if incident is None:
        raise NotFound(_("There is no incident {number}.").format(number=incident_id))
    if incident.state == IncidentState.MERGED:
        raise Conflict(
            _("INC-{number} was merged into INC-{other}: write the post-mortem of that one.").format(
                number=incident.pk, other=incident.merged_into_id
            )
        )
    there = PostMortem.objects.filter(incident=incident).first()
    return there or _begin(incident, actor, note)


def _begin(incident: Incident, actor: Actor, note: str) -> PostMortem:
    look_again(incident)
    facts = gather(incident)
    sections = tidied(drafted(facts))
    with transaction.atomic():
        # Held, so that of two who draft at once one finds what the other has made.
        Incident.objects.select_for_update().get(pk=incident.pk)
        there = PostMortem.objects.filter(incident=incident).first()
        return there or _made(incident, sections, facts, actor, note)


def _made(incident: Incident, sections: dict[str, str], facts: dict[str, Any], actor: Actor, note: str) -> PostMortem:
    now, title = database_now(), tidy_title(incident.title or f"INC-{incident.pk}")
    made = PostMortem.objects.create(
        incident=incident,
        title=title,
        sections=sections,
        facts=facts,
        facts_at=now,
        checked_at=now,
        created_at=now,
        updated_at=now,
        words=words_of(title, sections),
    )
    return kept(made, actor, now, action="postmortem.drafted", note=note, incident=incident.pk)


@transaction.atomic
def save(
    *,
    postmortem_id: int,
    actor: Actor,
    title: str,
    sections: Mapping[str, str],
    seen: int,
    note: str = "",
) -> PostMortem:
    """Keep what a person wrote as the next version. Saving what is there already changes nothing.

    ``seen`` is the version they began with; raises :class:`EditConflict` when there is a newer one, Conflict when it is
    published, Invalid for a title without words or a section that is too long.
    """
    require(actor, INCIDENTS_WORK)
    title, texts = tidy_title(title), tidied(sections)
    postmortem = held(postmortem_id)
    needs_state(postmortem, State.DRAFT, State.IN_REVIEW)
    written = changed(postmortem.sections, texts)
    if not written and title == postmortem.title:
        return postmortem
    if seen != postmortem.version:
        raise EditConflict(postmortem.versions.get(number=postmortem.version))
    postmortem.title, postmortem.sections = title, texts
    postmortem.touched = sorted({*postmortem.touched, *written})
    return keep(postmortem, actor, database_now(), action="postmortem.saved", note=tidy(note), sections=written)


@transaction.atomic
def restore(*, postmortem_id: int, number: int, actor: Actor, reason: str, seen: int | None = None) -> PostMortem:
    """Make the texts of an older version the newest one. Facts stay those of today."""
    require(actor, INCIDENTS_WORK)
    postmortem = held(postmortem_id)
    needs_state(postmortem, State.DRAFT, State.IN_REVIEW)
    if seen is not None and seen != postmortem.version:
        raise EditConflict(postmortem.versions.get(number=postmortem.version))
    older = version_of(postmortem, number)
    written = changed(postmortem.sections, older.sections)
    if not written and older.title == postmortem.title:
        raise Conflict(_("Version {number} says the same as the newest one.").format(number=number))
    postmortem.title, postmortem.sections = older.title, tidied(older.sections)
    postmortem.touched = sorted({*postmortem.touched, *written})
    return keep(postmortem, actor, database_now(), action="postmortem.restored", note=tidy(reason), restored=number)


def version_of(postmortem: PostMortem, number: int) -> PostMortemVersion:
    found = PostMortemVersion.objects.filter(postmortem=postmortem, number=number).first()
    if found is None:
        raise NotFound(_("PM-{number} has no version {version}.").format(number=postmortem.pk, version=number))
    return found
