"""Two incidents that turn out to be one."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from apps.core.actor import INCIDENTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict, Invalid
from apps.incidents.holding import clean_text, held_open, noted, seen_by, written
from apps.incidents.lifecycle import earliest
from apps.incidents.models import (
    Incident,
    IncidentEpisode,
    IncidentThing,
    LeftOut,
    State,
    TimelineEntry,
    UpdateKind,
)


@transaction.atomic
def merge(*, incident_id: int, into_id: int, actor: Actor, reason: str = "") -> Incident:
    """``incident_id`` ends and lives on in ``into_id``, which gets its alerts, services and timeline.

    Both must be open, so no circle can arise; what was merged into the first one leads to the second from now on.
    Returns the second. Raises Invalid and Conflict.
    """
    require(actor, INCIDENTS_WORK)
    if incident_id == into_id:
        raise Invalid.field("into", _("An incident cannot be merged into itself."))
    rows = {number: held_open(number) for number in sorted((incident_id, into_id))}
    gone, target, now = rows[incident_id], rows[into_id], database_now()
    if target.merged_into_id is not None:
        raise Conflict(_("INC-{number} was merged itself.").format(number=target.pk))
    said = clean_text(reason, "reason")
    _move(gone, target)
    _take_times(gone, target)
    gone.state, gone.merged_into, gone.resolved_at = State.MERGED, target, now
    seen_by(target, actor, now)
    gone.save()
    target.save()
    Incident.objects.filter(merged_into=gone).update(merged_into=target)
    _write(gone, target, actor, said, now)
    return target


def _write(gone: Incident, target: Incident, actor: Actor, said: str, now: datetime) -> None:
    written(gone, UpdateKind.MERGED, at=now, actor=actor, text=said, other=target.pk, title=target.title)
    written(target, UpdateKind.TOOK_IN, at=now, actor=actor, text=said, other=gone.pk, title=gone.title)
    noted(gone, "incident.merged", "merged", actor=actor, reason=said, after={"into": target.pk})
    noted(target, "incident.took_in", "linked", actor=actor, reason=said, after={"incident": gone.pk})


def _take_times(gone: Incident, target: Incident) -> None:
    if not target.started_by_hand or gone.started_by_hand:
        target.started_at = min(target.started_at, gone.started_at)
        target.started_by_hand = target.started_by_hand or gone.started_by_hand
    target.detected_at = min(target.detected_at, gone.detected_at)
    target.acknowledged_at = earliest([target.acknowledged_at, gone.acknowledged_at])
    # What happened since the earlier start is looked for again.
    target.collected_at = None


def _move(gone: Incident, target: Incident) -> None:
    """What the target has already stays where it was and goes with the merged one."""
    known = target.links.values("episode")
    IncidentEpisode.objects.filter(incident=gone).exclude(episode__in=known).update(incident=target)
    IncidentEpisode.objects.filter(incident=gone).delete()
    for kind in ("service", "deployment"):
        names = list(target.things.filter(kind=kind).values_list("ref", flat=True))
        IncidentThing.objects.filter(incident=gone, kind=kind).exclude(ref__in=names).update(incident=target)
    LeftOut.objects.filter(incident=gone).exclude(episode__in=target.left_out.values("episode")).update(incident=target)
    _move_timeline(gone, target)


def _move_timeline(gone: Incident, target: Incident) -> None:
    there = set(target.timeline.values_list("source", "ref"))
    ids = [pk for pk, *fact in gone.timeline.values_list("pk", "source", "ref") if tuple(fact) not in there]
    for start in range(0, len(ids), 500):
        TimelineEntry.objects.filter(pk__in=ids[start : start + 500]).update(incident=target)
    # A line that either of them had pinned stays pinned.
    for source, ref in gone.timeline.filter(pinned=True).values_list("source", "ref"):
        target.timeline.filter(source=source, ref=ref, pinned=False).update(pinned=True)
