"""Naming the cause: a person decides, the ranking only helps to look."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from apps.core.actor import INCIDENTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict, NotFound
from apps.incidents.holding import clean_text, held, noted, over_words, seen_by
from apps.incidents.models import Incident, State
from apps.incidents.suspects import Suspect, rank


@transaction.atomic
def name_culprit(*, incident_id: int, kind: str, ref: str, actor: Actor, reason: str = "") -> Incident:
    """Hold a suspect for the cause. Another one that was named before is no longer.

    Raises NotFound for what is not among the suspects, Conflict when it is named already.
    """
    require(actor, INCIDENTS_WORK)
    incident, now = _held(incident_id), database_now()
    found = next((one for one in rank(incident, now) if (one.candidate.kind, one.candidate.ref) == (kind, ref)), None)
    if found is None:
        raise NotFound(_("This is not among the suspects of INC-{number} any more.").format(number=incident.pk))
    if found.named:
        raise Conflict(_("It is named as the cause of INC-{number} already.").format(number=incident.pk))
    before, incident.culprit = incident.culprit, stored(found)
    seen_by(incident, actor, now)
    incident.save(update_fields=["culprit", "acknowledged_at"])
    said = clean_text(reason, "reason")
    noted(
        incident,
        "incident.culprit_named",
        "culprit",
        actor=actor,
        reason=said,
        before=before or None,
        after=incident.culprit,
    )
    return incident


@transaction.atomic
def take_back_culprit(*, incident_id: int, actor: Actor, reason: str = "") -> Incident:
    """Nothing is held for the cause any more."""
    require(actor, INCIDENTS_WORK)
    incident = _held(incident_id)
    if not incident.culprit:
        raise Conflict(_("Nothing is named as the cause of INC-{number}.").format(number=incident.pk))
    before, incident.culprit = incident.culprit, {}
    incident.save(update_fields=["culprit"])
    said = clean_text(reason, "reason")
    noted(incident, "incident.culprit_taken_back", "culprit", actor=actor, reason=said, before=before)
    return incident


def stored(found: Suspect) -> dict[str, Any]:
    """As it stays, also when what it came from is purged. The title is English; ``what`` and ``detail`` make words."""
    one = found.candidate
    with translation.override("en"):
        title = found.title
    words = {"what": one.what, "detail": dict(one.detail), "score": found.score}
    return {"kind": one.kind, "ref": one.ref, "title": title, "url": one.url, "at": one.at.isoformat(), **words}


def _held(incident_id: int) -> Incident:
    found = held(incident_id)
    if found.state == State.MERGED:
        raise Conflict(over_words(found))
    return found
