"""Every save is kept whole. What was there is never changed, only followed by something newer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.audit.services import record
from apps.core.actor import Actor
from apps.core.errors import Conflict, NotFound
from apps.postmortems.models import PostMortem, PostMortemVersion, State
from apps.postmortems.sections import words_of


def held(postmortem_id: int) -> PostMortem:
    """The row, nobody else's until the transaction ends; raises NotFound."""
    found = PostMortem.objects.select_for_update(of=("self",)).select_related("incident").filter(pk=postmortem_id)
    postmortem = found.first()
    if postmortem is None:
        raise NotFound(_("There is no post-mortem {number}.").format(number=postmortem_id))
    return postmortem


def needs_state(postmortem: PostMortem, *states: str) -> None:
    if postmortem.state not in states:
        raise Conflict(
            _("PM-{number} is {state}: this cannot be done now.").format(
                number=postmortem.pk, state=State(postmortem.state).label
            )
            + " "
            + _("Load the page again to see what can be.")
        )


def seen_latest(postmortem: PostMortem, seen: int | None) -> None:
    """Raise Conflict when somebody saved since ``seen``; None does not look."""
    if seen is not None and seen != postmortem.version:
        raise Conflict(
            _("PM-{number} has become version {version} since you opened it. Look at what has changed first.").format(
                number=postmortem.pk, version=postmortem.version
            )
        )


@transaction.atomic
def keep(
    postmortem: PostMortem, actor: Actor, now: datetime, *, action: str, note: str = "", **facts: Any
) -> PostMortem:
    """Save ``postmortem`` as its next version, with its row in the audit trail."""
    postmortem.version += 1
    postmortem.updated_at = now
    postmortem.words = words_of(postmortem.title, postmortem.sections)
    postmortem.save()
    return kept(postmortem, actor, now, action=action, note=note, **facts)


def kept(postmortem: PostMortem, actor: Actor, now: datetime, *, action: str, note: str, **facts: Any) -> PostMortem:
    PostMortemVersion.objects.create(
        postmortem=postmortem,
        number=postmortem.version,
        at=now,
        actor=str(actor)[:200],
        state=postmortem.state,
        title=postmortem.title,
        sections=postmortem.sections,
        facts=postmortem.facts,
        note=note,
    )
    record(
        actor=actor,
        action=action,
        target=f"postmortem:{postmortem.pk}",
        reason=note,
        after={"version": postmortem.version, "state": postmortem.state, **facts},
    )
    return postmortem
