"""Maintenance windows: times in which the alerts that match page nobody. They are logged, worked and ended as ever.

A page that falls due inside a window is held by it; when the window ends and the alert still fires, the page goes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from pydantic import ValidationError

from apps.alerts.episodes import OPEN_STATES, State
from apps.alerts.models import Episode, EpisodeEvent, Escalation, Maintenance
from apps.alerts.policies import facts_of
from apps.alerts.routing import Route
from apps.alerts.story import note_event
from apps.audit.services import record
from apps.core.actor import ALERTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict, Invalid, NotFound

LONGEST: Final = timedelta(days=30)
Match = Mapping[str, str | list[str]]


def in_force(now: datetime) -> QuerySet[Maintenance]:
    """The windows that hold pages at ``now``; the one that began first is named as the one that holds."""
    return Maintenance.objects.filter(starts_at__lte=now, ends_at__gt=now, ended_at__isnull=True).order_by("pk")


# --- the sweep ----------------------------------------------------------------------------------
def let_through(due: Sequence[Escalation], now: datetime) -> list[Escalation]:
    """``due`` without those that a window holds, which are marked as held. In the caller's transaction, rows locked."""
    windows = [(window, matcher(window.match)) for window in in_force(now)] if due else []
    if not windows:
        return list(due)
    held = [row for row in due if _held(row, windows)]
    Escalation.objects.bulk_update(held, ["held_by"], batch_size=500)
    EpisodeEvent.objects.bulk_create([_event(row, now) for row in held], batch_size=500)
    return [row for row in due if row.held_by_id is None]


def _held(row: Escalation, windows: Sequence[tuple[Maintenance, Route]]) -> bool:
    facts = facts_of(row.episode)
    row.held_by = next((window for window, match in windows if match.matches(facts)), None)
    return row.held_by is not None


def _event(row: Escalation, now: datetime) -> EpisodeEvent:
    window = row.held_by
    assert window is not None
    detail = {"maintenance": window.pk, "until": window.ends_at.isoformat(), "step": row.step}
    return EpisodeEvent(episode_id=row.episode_id, kind="held", at=now, text=window.reason, detail=detail)


@transaction.atomic
def release(now: datetime) -> int:
    """What is held by a window that is over is due again; another window may hold it on."""
    held = Escalation.objects.filter(held_by__isnull=False, ended_at__isnull=True)
    over = held.exclude(held_by__in=in_force(now).values("pk"))
    rows = list(over.select_for_update(of=("self",)).select_related("episode").order_by("pk"))
    for row in rows:
        if row.episode.state != State.RESOLVED:
            note_event(row.episode, "hold_ended", now, maintenance=row.held_by_id)
    Escalation.objects.filter(pk__in=[row.pk for row in rows]).update(held_by=None)
    return len(rows)


# --- what people do -----------------------------------------------------------------------------
def matcher(match: Match) -> Route:
    """Matches as a route of the routing does."""
    return Route.model_construct(match=dict(match))


def checked(match: Any) -> dict[str, str | list[str]]:
    """Raises :class:`Invalid`: a window must match something, and not everything."""
    if not isinstance(match, dict) or not match:
        raise Invalid.field("match", _("say which alerts: at least one label and its value"))
    try:
        route = Route.model_validate({"name": "x", "match": match, "steps": [{"notify": ["x"]}]})
    except ValidationError as error:
        raise Invalid.field("match", error.errors(include_url=False, include_context=False)[0]["msg"]) from None
    return route.match


@transaction.atomic
def plan(*, match: Any, starts_at: datetime | None, ends_at: datetime, reason: str, actor: Actor) -> Maintenance:
    """A window from ``starts_at`` (now when None) until ``ends_at``, at most 30 days. Raises Invalid."""
    require(actor, ALERTS_WORK)
    now = database_now()
    begins = max(starts_at, now) if starts_at is not None else now
    _check_time(begins, ends_at, now)
    window = Maintenance(match=checked(match), starts_at=begins, ends_at=ends_at, reason=_reason(reason))
    window.created_by = str(actor)[:200]
    window.save()
    record(actor=actor, action="maintenance.planned", target=_target(window), after=_shown(window), reason=reason)
    return window


@transaction.atomic
def change(*, window_id: int, match: Any, ends_at: datetime, reason: str, actor: Actor) -> Maintenance:
    """Another end, or other alerts. What it held is looked at anew by the next sweep."""
    require(actor, ALERTS_WORK)
    window, now = _open(window_id), database_now()
    before = _shown(window)
    _check_time(window.starts_at, ends_at, now)
    window.match, window.ends_at = checked(match), ends_at
    window.save(update_fields=["match", "ends_at"])
    Escalation.objects.filter(held_by=window).update(held_by=None)
    record(
        actor=actor,
        action="maintenance.changed",
        target=_target(window),
        before=before,
        after=_shown(window),
        reason=_reason(reason),
    )
    return window


@transaction.atomic
def end(*, window_id: int, reason: str, actor: Actor) -> Maintenance:
    """Now, before its time. One that has not begun never holds anything."""
    require(actor, ALERTS_WORK)
    window, now = _open(window_id), database_now()
    window.ended_at, window.ended_by = now, str(actor)[:200]
    window.save(update_fields=["ended_at", "ended_by"])
    record(actor=actor, action="maintenance.ended", target=_target(window), before=_shown(window), reason=reason)
    return window


def _open(window_id: int) -> Maintenance:
    window = Maintenance.objects.select_for_update().filter(pk=window_id).first()
    if window is None:
        raise NotFound(_("There is no maintenance window {number}.").format(number=window_id))
    if window.ended_at is not None or window.ends_at <= database_now():
        raise Conflict(_("Maintenance window {number} is over.").format(number=window_id))
    return window


def _check_time(begins: datetime, ends: datetime, now: datetime) -> None:
    if ends.tzinfo is None or ends <= max(begins, now):
        raise Invalid.field("ends_at", _("must be after its beginning, and in the future"))
    if ends - begins > LONGEST:
        raise Invalid.field("ends_at", _("a window lasts at most {days} days").format(days=LONGEST.days))
    if begins - now > timedelta(days=366):
        raise Invalid.field("starts_at", _("must be within a year"))


def _reason(text: str) -> str:
    clean = text.replace("\x00", "").strip()[:2000]
    if not clean:
        raise Invalid.field("reason", _("say why: whoever is not paged wants to know"))
    return clean


def _target(window: Maintenance) -> str:
    return f"maintenance:{window.pk}"


def _shown(window: Maintenance) -> dict[str, Any]:
    times = {"starts_at": window.starts_at.isoformat(), "ends_at": window.ends_at.isoformat()}
    return {"match": window.match, **times}


# --- reading ------------------------------------------------------------------------------------
def held(window: Maintenance) -> QuerySet[Escalation]:
    """The alerts whose page it holds right now."""
    rows = Escalation.objects.filter(held_by=window, ended_at__isnull=True).exclude(episode__state=State.RESOLVED)
    return rows.select_related("episode").order_by("-pk")


def matching(match: Match, limit: int) -> list[Episode]:
    """Open alerts that ``match`` takes, of the newest ``limit`` open ones."""
    route = matcher(match)
    newest = Episode.objects.filter(state__in=OPEN_STATES).order_by("-pk")[:limit]
    return [episode for episode in newest if route.matches(facts_of(episode))]


def window_of(episode: Episode, now: datetime) -> Maintenance | None:
    """The window in force that ``episode`` falls into, whether a page is due or not."""
    facts = facts_of(episode)
    return next((window for window in in_force(now) if matcher(window.match).matches(facts)), None)


def standing(now: datetime) -> Q:
    """Windows that are in force or still to come."""
    return Q(ends_at__gt=now, ended_at__isnull=True)
