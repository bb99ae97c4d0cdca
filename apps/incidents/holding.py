"""What every change of an incident shares: the row held, the line of what was done, the clean words."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.db.models import Q
from django.utils.translation import gettext as _

from apps.alerts.models import Episode, EpisodeEvent
from apps.alerts.notices import one_line
from apps.audit.services import record
from apps.core.actor import Actor
from apps.core.errors import Conflict, Invalid, NotFound
from apps.incidents.lifecycle import Alert, is_open
from apps.incidents.models import OPEN_STATES, Incident, IncidentEpisode, State, StatusUpdate, UpdateKind
from apps.incidents.signals import announce

LONGEST_TEXT: Final = 10_000
LONGEST_TITLE: Final = 200


def held(incident_id: int) -> Incident:
    """The incident, its row locked until the transaction ends."""
    found = Incident.objects.select_for_update(of=("self",)).filter(pk=incident_id).first()
    if found is None:
        raise NotFound(_("There is no incident {number}.").format(number=incident_id))
    return found


def held_open(incident_id: int) -> Incident:
    found = held(incident_id)
    if not is_open(found.state):
        raise Conflict(over_words(found))
    return found


def over_words(incident: Incident) -> str:
    if incident.state == State.MERGED:
        text = _("INC-{number} was merged into INC-{other}: go on there.")
        return text.format(number=incident.pk, other=incident.merged_into_id)
    return _("INC-{number} is resolved already; open it again first.").format(number=incident.pk)


def still(incident: Incident, seen: str | None) -> None:
    """Refuse what somebody decided while looking at another state. None: they did not say what they saw."""
    if seen is not None and seen != incident.state:
        text = _("INC-{number} is “{state}” by now: somebody changed it meanwhile. Look again before you decide.")
        raise Conflict(text.format(number=incident.pk, state=incident.get_state_display()))


def clean_title(text: str) -> str:
    found = one_line(text, LONGEST_TITLE + 1)
    if not found or len(found) > LONGEST_TITLE:
        raise Invalid.field("title", _("write 1 to {most} characters").format(most=LONGEST_TITLE))
    return found


def clean_text(text: str, field: str = "text", *, required: bool = False) -> str:
    found = text.replace("\x00", "").strip()
    if len(found) > LONGEST_TEXT or (required and not found):
        raise Invalid.field(field, _("write 1 to {most} characters").format(most=LONGEST_TEXT))
    return found


def clean_time(at: datetime, now: datetime, field: str = "started_at") -> datetime:
    if at.tzinfo is None or at > now:
        raise Invalid.field(field, _("must be a time with its zone, not in the future"))
    return at


def a_person(actor: Actor) -> bool:
    return actor.kind in ("person", "cli")


def seen_by(incident: Incident, actor: Actor, now: datetime) -> None:
    """The first thing a person does with an incident is that somebody is at it."""
    if a_person(actor) and incident.acknowledged_at is None:
        incident.acknowledged_at = now


def written(
    incident: Incident, kind: UpdateKind, *, at: datetime, actor: Actor, text: str = "", **detail: Any
) -> StatusUpdate:
    return StatusUpdate.objects.create(
        incident=incident, kind=kind, at=at, state=incident.state, text=text, detail=detail, actor=str(actor)[:200]
    )


def noted(incident: Incident, action: str, what: str, *, actor: Actor, reason: str = "", **change: Any) -> None:
    """The row of the audit trail, and the news. Late in the transaction: the trail is held until its end."""
    record(actor=actor, action=action, target=f"incident:{incident.pk}", reason=reason, **change)
    announce(incident.pk, what)


def alerts_of(incident: Incident) -> dict[int, Alert]:
    """What the lifecycle needs of each linked alert, by the id of its episode."""
    rows = Episode.objects.filter(incident_links__incident=incident).order_by("pk")
    return facts_of(list(rows))


def facts_of(episodes: list[Episode]) -> dict[int, Alert]:
    ids = [row.pk for row in episodes]
    acknowledged: dict[int, datetime] = {}
    events = EpisodeEvent.objects.filter(episode__in=ids, kind="acknowledged").order_by("-at")
    for episode_id, at in events.values_list("episode_id", "at"):
        acknowledged[episode_id] = at
    return {row.pk: _fact(row, acknowledged.get(row.pk) or row.acknowledged_at) for row in episodes}


def _fact(row: Episode, acknowledged_at: datetime | None) -> Alert:
    return Alert(
        first_seen_at=row.first_seen_at,
        firing=row.state == "firing",
        starts_at=row.starts_at,
        normal_since=row.normal_since,
        resolved_at=row.resolved_at,
        acknowledged_at=acknowledged_at,
    )


def elsewhere(episode_ids: list[int], incident: Incident | None) -> IncidentEpisode | None:
    """One of these alerts that belongs to another open incident."""
    own = Q(incident=incident) if incident else Q()
    rows = IncidentEpisode.objects.filter(episode__in=episode_ids, incident__state__in=OPEN_STATES)
    return (rows.exclude(own) if incident else rows).select_related("episode").order_by("pk").first()


def refuse_shared(episode_ids: list[int], incident: Incident) -> None:
    """An alert belongs to one open incident. Asked while the trail is held, so that of two who open one from the same
    alert at the same moment, the second sees the first.
    """
    other = elsewhere(episode_ids, incident)
    if other is not None:
        text = _("{name} belongs to INC-{number} already. Work there, or merge the two.")
        raise Conflict(
            text.format(name=one_line(other.episode.name, 100), number=other.incident_id),
            detail={"incident": other.incident_id},
        )
