"""Later facts: looked for by a sweep, kept beside the ones of the draft, and accepted or dismissed by a person."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from apps.core.actor import INCIDENTS_WORK, POSTMORTEMS_PUBLISH, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict
from apps.postmortems.differences import digest
from apps.postmortems.drafting import drafted
from apps.postmortems.facts import gather
from apps.postmortems.models import PostMortem, State
from apps.postmortems.sections import changed, tidy
from apps.postmortems.versions import held, keep, seen_latest

log = structlog.get_logger(__name__)

# Published ones are looked at for so long; replays of dead letters and corrected times come within days.
AFTER_PUBLISHING: Final = timedelta(days=7)
# What is young changes by the minute, what is old seldom.
YOUNG: Final = timedelta(days=2)
YOUNG_EVERY: Final = timedelta(seconds=50)
OLD_EVERY: Final = timedelta(hours=1)
AT_ONCE: Final = 20


def renew_all() -> int:
    """Look for later facts where it is time to; returns how many were looked at. One that fails stops no other."""
    due = _due(database_now()).order_by("checked_at", "pk")
    ids = list(due.values_list("pk", flat=True)[:AT_ONCE])
    for postmortem_id in ids:
        try:
            renew(postmortem_id)
        except Exception:
            log.exception("postmortem.renewing_failed", postmortem_id=postmortem_id)
            PostMortem.objects.filter(pk=postmortem_id).update(checked_at=database_now())
    return len(ids)


def _due(now: datetime) -> QuerySet[PostMortem]:
    alive = ~Q(state=State.PUBLISHED) | Q(published_at__gte=now - AFTER_PUBLISHING)
    young = Q(created_at__gte=now - YOUNG, checked_at__lt=now - YOUNG_EVERY)
    return PostMortem.objects.filter(alive, Q(checked_at=None) | young | Q(checked_at__lt=now - OLD_EVERY))


def renew(postmortem_id: int) -> bool:
    """Ask for the facts anew. True when later ones wait to be accepted."""
    postmortem = PostMortem.objects.select_related("incident").get(pk=postmortem_id)
    found = gather(postmortem.incident, postmortem.facts)
    return _compared(postmortem_id, found)


@transaction.atomic
def _compared(postmortem_id: int, found: dict[str, Any]) -> bool:
    """Only what can be accepted is written here; the text, the facts and the version are people's."""
    postmortem, now = held(postmortem_id), database_now()
    said = digest(found)
    news = said not in (digest(postmortem.facts), postmortem.dismissed)
    unchanged = bool(postmortem.newer) and digest(postmortem.newer) == said
    postmortem.checked_at = now
    if not news:
        postmortem.newer, postmortem.newer_at = {}, None
    elif not unchanged:
        postmortem.newer, postmortem.newer_at = found, now
    postmortem.save(update_fields=["checked_at", "newer", "newer_at"])
    return news


def _waiting(postmortem_id: int, actor: Actor, seen_at: datetime | None, seen: int | None) -> PostMortem:
    """Held, with facts that wait, and those that the person has looked at."""
    require(actor, INCIDENTS_WORK)
    postmortem = held(postmortem_id)
    if postmortem.state == State.PUBLISHED:
        require(actor, POSTMORTEMS_PUBLISH)
    seen_latest(postmortem, seen)
    if not postmortem.newer:
        raise Conflict(_("No later facts wait for PM-{number}.").format(number=postmortem.pk))
    if seen_at is not None and postmortem.newer_at != seen_at:
        raise Conflict(
            _("Still later facts have come in for PM-{number} meanwhile. Look at them first.").format(
                number=postmortem.pk
            )
        )
    return postmortem


@transaction.atomic
def accept(
    *, postmortem_id: int, actor: Actor, note: str = "", seen_at: datetime | None = None, seen: int | None = None
) -> PostMortem:
    """Take the later facts. Sections in which nobody has written are drafted anew from them; others stay untouched."""
    postmortem = _waiting(postmortem_id, actor, seen_at, seen)
    fresh = drafted(postmortem.newer)
    sections = postmortem.sections | {key: text for key, text in fresh.items() if key not in postmortem.touched}
    written = changed(postmortem.sections, sections)
    postmortem.facts, postmortem.facts_at = postmortem.newer, postmortem.newer_at
    postmortem.sections, postmortem.newer, postmortem.newer_at = sections, {}, None
    postmortem.dismissed = ""
    return keep(
        postmortem, actor, database_now(), action="postmortem.facts_accepted", note=tidy(note), sections=written
    )


@transaction.atomic
def dismiss(
    *, postmortem_id: int, actor: Actor, reason: str, seen_at: datetime | None = None, seen: int | None = None
) -> PostMortem:
    """Leave the facts as they are; only ones that differ from these are shown again."""
    postmortem = _waiting(postmortem_id, actor, seen_at, seen)
    postmortem.dismissed = digest(postmortem.newer)
    postmortem.newer, postmortem.newer_at = {}, None
    return keep(postmortem, actor, database_now(), action="postmortem.facts_dismissed", note=tidy(reason))
