"""From a draft to what everybody may rely on: review, publishing, opening it again."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core.actor import INCIDENTS_WORK, POSTMORTEMS_PUBLISH, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict, Invalid
from apps.incidents.models import OPEN_STATES
from apps.postmortems.models import PostMortem, State
from apps.postmortems.sections import missing, tidy
from apps.postmortems.versions import held, keep, needs_state, seen_latest


@transaction.atomic
def submit(*, postmortem_id: int, reviewer: str, actor: Actor, note: str = "", seen: int | None = None) -> PostMortem:
    """Ask ``reviewer`` (the e-mail address of somebody who may log in) to read a draft."""
    require(actor, INCIDENTS_WORK)
    if not User.objects.filter(email=reviewer, is_active=True).exists():
        raise Invalid.field("reviewer", _("must be the e-mail address of somebody who may log in"))
    postmortem = held(postmortem_id)
    needs_state(postmortem, State.DRAFT)
    seen_latest(postmortem, seen)
    postmortem.state, postmortem.reviewer = State.IN_REVIEW, reviewer
    return keep(postmortem, actor, database_now(), action="postmortem.submitted", note=tidy(note), reviewer=reviewer)


@transaction.atomic
def withdraw(*, postmortem_id: int, actor: Actor, reason: str, seen: int | None = None) -> PostMortem:
    """Give it back to whoever writes it."""
    require(actor, INCIDENTS_WORK)
    postmortem = held(postmortem_id)
    needs_state(postmortem, State.IN_REVIEW)
    seen_latest(postmortem, seen)
    postmortem.state = State.DRAFT
    return keep(postmortem, actor, database_now(), action="postmortem.withdrawn", note=tidy(reason))


@transaction.atomic
def publish(*, postmortem_id: int, actor: Actor, note: str = "", seen: int | None = None) -> PostMortem:
    """Raises Invalid that names every section and item that is missing, Conflict while the incident is open."""
    require(actor, POSTMORTEMS_PUBLISH)
    postmortem = held(postmortem_id)
    needs_state(postmortem, State.IN_REVIEW)
    seen_latest(postmortem, seen)
    if postmortem.incident.state in OPEN_STATES:
        text = _("INC-{number} is not over yet: resolve it, then publish what was learnt from it.")
        raise Conflict(text.format(number=postmortem.incident_id))
    problems = problems_of(postmortem)
    if problems:
        raise Invalid.fields(problems)
    now = database_now()
    postmortem.state, postmortem.published_at, postmortem.published_by = State.PUBLISHED, now, str(actor)[:200]
    return keep(postmortem, actor, now, action="postmortem.published", note=tidy(note))


def problems_of(postmortem: PostMortem) -> list[dict[str, str]]:
    """What is missing before it may be published."""
    return missing(postmortem.sections, items=postmortem.items.count())


@transaction.atomic
def reopen(*, postmortem_id: int, actor: Actor, reason: str, seen: int | None = None) -> PostMortem:
    """Go on writing in what was published; the published version stays among the versions."""
    require(actor, POSTMORTEMS_PUBLISH)
    postmortem = held(postmortem_id)
    needs_state(postmortem, State.PUBLISHED)
    seen_latest(postmortem, seen)
    postmortem.state, postmortem.published_at, postmortem.published_by = State.DRAFT, None, ""
    return keep(postmortem, actor, database_now(), action="postmortem.reopened", note=tidy(reason))
