"""What people do with an alert. Each is one transaction with its line in the alert's story and its audit row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.alerts.episodes import State
from apps.alerts.models import Episode, EpisodeEvent, Escalation
from apps.alerts.silencing import silence
from apps.alerts.story import note_event as note_event
from apps.alerts.telling import tell_acknowledged
from apps.audit.services import record
from apps.core.actor import ALERTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict, Invalid, NotFound


def _held(episode_id: int) -> Episode:
    """The episode, with its escalation held: a sweep sees what is done here wholly or not at all."""
    Escalation.objects.select_for_update().filter(episode=episode_id).first()
    episode = Episode.objects.select_for_update(of=("self",)).filter(pk=episode_id).first()
    if episode is None:
        raise NotFound(_("There is no alert {number}.").format(number=episode_id))
    return episode


@transaction.atomic
def acknowledge(
    *,
    episode_id: int,
    actor: Actor,
    reason: str = "",
    until: datetime | None = None,
    silence_until: datetime | None = None,
) -> Episode:
    """Say that somebody is at it: steps that wait for an acknowledgement are not taken. It never reopens anything.

    With ``silence_until`` Alertmanager is asked to be silent about it as well (:mod:`apps.alerts.silencing`).

    Raises Conflict when the alert is over or acknowledged already, Invalid for an end in the past.
    """
    require(actor, ALERTS_WORK)
    episode, now = _held(episode_id), database_now()
    if episode.state == State.RESOLVED:
        raise Conflict(_("{name} is resolved; there is nothing to acknowledge.").format(name=episode.name))
    if episode.acknowledged_at is not None:
        raise Conflict(
            _("{name} was acknowledged by {who} already.").format(name=episode.name, who=episode.acknowledged_by)
        )
    if until is not None and (until.tzinfo is None or until <= now):
        raise Invalid.field("until", _("must be a time with its zone, in the future"))
    episode.acknowledged_at, episode.acknowledged_by, episode.acknowledged_until = now, str(actor)[:200], until
    episode.save(update_fields=["acknowledged_at", "acknowledged_by", "acknowledged_until"])
    _written(episode, "alert.acknowledged", now, actor, reason, until=until.isoformat() if until else None)
    escalation = Escalation.objects.select_related("episode").filter(episode=episode, ended_at__isnull=True).first()
    if escalation is not None:
        tell_acknowledged(escalation, episode.acknowledged_by, now)
    if silence_until is not None:
        silence(episode_id=episode.pk, actor=actor, until=silence_until, reason=reason or "Acknowledged")
    return episode


@transaction.atomic
def take_back(*, episode_id: int, actor: Actor, reason: str = "") -> Episode:
    """End an acknowledgement. The steps that are due are taken by the next sweep."""
    require(actor, ALERTS_WORK)
    episode, now = _held(episode_id), database_now()
    if episode.acknowledged_at is None:
        raise Conflict(_("{name} is not acknowledged.").format(name=episode.name))
    episode.acknowledged_at, episode.acknowledged_by, episode.acknowledged_until = None, "", None
    episode.save(update_fields=["acknowledged_at", "acknowledged_by", "acknowledged_until"])
    _written(episode, "alert.acknowledgement_taken_back", now, actor, reason)
    return episode


@transaction.atomic
def assign(*, episode_id: int, actor: Actor, assignee: str) -> Episode:
    require(actor, ALERTS_WORK)
    if len(assignee) > 200 or not assignee.isprintable():
        raise Invalid.field("assignee", _("must be one line of at most 200 characters"))
    episode = _held(episode_id)
    episode.assignee = assignee
    episode.save(update_fields=["assignee"])
    _written(episode, "alert.assigned", database_now(), actor, "", assignee=assignee)
    return episode


@transaction.atomic
def note(*, episode_id: int, actor: Actor, text: str) -> EpisodeEvent:
    require(actor, ALERTS_WORK)
    clean = text.replace("\x00", "").strip()
    if not clean or len(clean) > 10_000:
        raise Invalid.field("text", _("write 1 to 10000 characters"))
    episode = _held(episode_id)
    return _written(episode, "alert.noted", database_now(), actor, clean)


@transaction.atomic
def snooze(*, episode_id: int, actor: Actor, until: datetime | None, reason: str = "") -> Episode:
    """Tell nobody until then; None ends it."""
    require(actor, ALERTS_WORK)
    episode, now = _held(episode_id), database_now()
    if until is not None and (until.tzinfo is None or until <= now):
        raise Invalid.field("until", _("must be a time with its zone, in the future"))
    episode.snoozed_until = until
    episode.save(update_fields=["snoozed_until"])
    _written(episode, "alert.snoozed", now, actor, reason, until=until.isoformat() if until else None)
    return episode


def _written(episode: Episode, action: str, at: datetime, actor: Actor, text: str, **detail: Any) -> EpisodeEvent:
    """``action`` in the audit trail, and without its prefix in the story of the alert."""
    record(actor=actor, action=action, target=f"alert:{episode.pk}", after=detail or None, reason=text)
    return note_event(episode, action.removeprefix("alert."), at, actor=str(actor)[:200], text=text, **detail)
