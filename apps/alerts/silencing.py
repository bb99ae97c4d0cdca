"""Silences made from here: what is wanted is a row, and a task makes Alertmanager follow it to its end.

Alertmanager is asked outside of any transaction. Killed between making a silence and writing its id down, the next
try looks for it by the mark in its comment before it makes another.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils.translation import gettext as _

from apps.alerts.episodes import OPEN_STATES, State
from apps.alerts.models import AlertSource, Episode, Silence, SilenceState, SourceKind
from apps.alerts.nudge import nudge_silences
from apps.alerts.silence_api import EXPIRED, Api, Away, Refused
from apps.alerts.story import note_event
from apps.audit.services import record
from apps.core.actor import ALERTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict, Invalid, NotFound

log = structlog.get_logger(__name__)

LONGEST: Final = timedelta(days=30)
LEASE: Final = timedelta(seconds=60)
LOOK_EVERY: Final = timedelta(seconds=60)
LONGEST_PAUSE: Final = timedelta(minutes=5)
PER_RUN: Final = 50


# --- what people do -----------------------------------------------------------------------------
@transaction.atomic
def silence(*, episode_id: int, actor: Actor, until: datetime, reason: str) -> Silence:
    """Have Alertmanager be silent about one alert until then. Raises NotFound, Conflict, Invalid."""
    require(actor, ALERTS_WORK)
    now = database_now()
    episode = Episode.objects.select_for_update(of=("self",)).filter(pk=episode_id).first()
    if episode is None:
        raise NotFound(_("There is no alert {number}.").format(number=episode_id))
    _check(episode, until, now)
    made = Silence.objects.create(
        episode=episode,
        source=episode.source,
        matchers=matchers_of(episode.labels),
        reason=_reason(reason),
        created_by=str(actor)[:200],
        created_at=now,
        until=until,
        next_try_at=now,
    )
    _written(made, "alert.silenced", now, actor, reason, until=until.isoformat())
    return made


def can_be_silenced(episode: Episode) -> str:
    """Why not; empty when it can."""
    source: AlertSource = episode.source
    if episode.state not in OPEN_STATES:
        return _("{name} is resolved; there is nothing to silence.").format(name=episode.name)
    if source.kind != SourceKind.ALERTMANAGER or source.disabled_at is not None:
        return _("{source} is no Alertmanager that could be asked to be silent.").format(source=source.name)
    if not source.api_url:
        return _("{source} has no API address: set it on its page first.").format(source=source.name)
    if not matchers_of(episode.labels):
        return _("{name} has no label with a value, so no silence could name it.").format(name=episode.name)
    return ""


def matchers_of(labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Exactly this alert. An empty value is left out: a matcher that matches nothing is refused by Alertmanager."""
    return [
        {"name": name, "value": value, "isRegex": False, "isEqual": True}
        for name, value in sorted(labels.items())
        if value
    ]


def _check(episode: Episode, until: datetime, now: datetime) -> None:
    if why := can_be_silenced(episode):
        raise Conflict(why)
    if standing().filter(episode=episode).exclude(state=SilenceState.ENDING).exists():
        raise Conflict(_("{name} is silenced already; extend that silence instead.").format(name=episode.name))
    _check_until(until, now)


def _check_until(until: datetime, now: datetime) -> None:
    if until.tzinfo is None or until <= now:
        raise Invalid.field("until", _("must be a time with its zone, in the future"))
    if until - now > LONGEST:
        raise Invalid.field("until", _("a silence lasts at most {days} days").format(days=LONGEST.days))


def _reason(text: str) -> str:
    clean = text.replace("\x00", "").strip()[:2000]
    if not clean:
        raise Invalid.field("reason", _("say why: Alertmanager shows it to everybody"))
    return clean


@transaction.atomic
def extend(*, silence_id: int, actor: Actor, until: datetime, reason: str = "") -> Silence:
    """Another end, later or earlier."""
    require(actor, ALERTS_WORK)
    made, now = _standing(silence_id), database_now()
    _check_until(until, now)
    before, made.until, made.next_try_at, made.tries = made.until, until, now, 0
    made.save(update_fields=["until", "next_try_at", "tries"])
    _written(made, "alert.silence_extended", now, actor, reason, until=until.isoformat(), before=before.isoformat())
    return made


@transaction.atomic
def end(*, silence_id: int, actor: Actor, reason: str = "") -> Silence:
    """End it now: Alertmanager is told within seconds, and the escalation goes on if the alert fires."""
    require(actor, ALERTS_WORK)
    made, now = _standing(silence_id), database_now()
    made.state, made.next_try_at, made.tries, made.ended_by = SilenceState.ENDING, now, 0, str(actor)[:200]
    made.save(update_fields=["state", "next_try_at", "tries", "ended_by"])
    _written(made, "alert.silence_ended", now, actor, reason)
    return made


def _standing(silence_id: int) -> Silence:
    made = Silence.objects.select_for_update(of=("self",)).select_related("episode").filter(pk=silence_id).first()
    if made is None:
        raise NotFound(_("There is no silence {number}.").format(number=silence_id))
    if made.ended_at is not None or made.state == SilenceState.ENDING:
        raise Conflict(_("Silence {number} is over.").format(number=silence_id))
    return made


def _written(made: Silence, action: str, at: datetime, actor: Actor, text: str, **detail: Any) -> None:
    record(actor=actor, action=action, target=f"alert:{made.episode_id}", after=detail or None, reason=text)
    kind = action.removeprefix("alert.")
    note_event(made.episode, kind, at, actor=str(actor)[:200], text=text, silence=made.pk, **detail)
    transaction.on_commit(nudge_silences)


# --- what the task does -------------------------------------------------------------------------
def standing() -> QuerySet[Silence]:
    return Silence.objects.filter(ended_at__isnull=True)


def follow_all(now: datetime | None = None) -> int:
    """Bring Alertmanager in step with what is wanted, and see what became of it. Returns how many were looked at."""
    at = now or database_now()
    _end_with_their_alerts(at)
    due = standing().filter(next_try_at__lte=at).order_by("next_try_at", "pk")
    return sum(_follow(pk, at) for pk in list(due.values_list("pk", flat=True)[:PER_RUN]))


def _end_with_their_alerts(now: datetime) -> None:
    over = standing().filter(episode__state=State.RESOLVED).exclude(state=SilenceState.ENDING)
    over.update(state=SilenceState.ENDING, ended_by="resolved", next_try_at=now, tries=0)


def _follow(pk: int, now: datetime) -> bool:
    """Claimed by a lease, asked without a transaction, written down under the row's lock."""
    claim = standing().filter(pk=pk, next_try_at__lte=now)
    if not claim.update(next_try_at=now + LEASE, tries=F("tries") + 1):
        return False
    made = Silence.objects.select_related("episode", "source").get(pk=pk)
    api = Api(made.source.api_url, made.source.api_secret)
    try:
        news = _STEPS[SilenceState(made.state)](api, made, now)
    except Away as error:
        news = {"problem": str(error)[:500], "next_try_at": now + _pause(made.tries)}
        if made.until <= now:
            news |= _over(SilenceState.FAILED if made.state == SilenceState.WANTED else SilenceState.EXPIRED, now)
    except Refused as error:
        news = {"problem": str(error)[:500], **_over(SilenceState.FAILED, now)}
    _write(made, news, now)
    return True


def _pause(tries: int) -> timedelta:
    return min(timedelta(seconds=5 * 2 ** min(tries, 10)), LONGEST_PAUSE)


def _over(state: str, now: datetime, by: str = "") -> dict[str, Any]:
    return {"state": state, "ended_at": now, "next_try_at": None, **({"ended_by": by} if by else {})}


def mark_of(made: Silence) -> str:
    return f"opsportal-silence-{made.pk}"


def _said(made: Silence, now: datetime) -> dict[str, Any]:
    url = f"{settings.PUBLIC_URL}/alerts/{made.episode_id}" if settings.PUBLIC_URL else ""
    return {
        "matchers": made.matchers,
        "startsAt": now.isoformat(),
        "endsAt": made.until.isoformat(),
        "createdBy": made.created_by,
        "comment": " ".join(part for part in (made.reason, url, mark_of(made)) if part),
    }


def _create(api: Api, made: Silence, now: datetime) -> dict[str, Any]:
    if made.until <= now:
        return {"problem": "It was over before Alertmanager could be told.", **_over(SilenceState.FAILED, now)}
    ours = api.find(mark_of(made)) if made.tries > 1 else None
    silence_id = ours.silence_id if ours is not None else api.create(_said(made, now))
    told = ours.ends_at if ours is not None else made.until
    return _active(silence_id, told, now)


def _active(silence_id: str, told_until: datetime | None, now: datetime) -> dict[str, Any]:
    fresh = {"state": SilenceState.ACTIVE, "remote_id": silence_id, "told_until": told_until}
    return {**fresh, "problem": "", "tries": 0, "next_try_at": now + LOOK_EVERY}


def _look(api: Api, made: Silence, now: datetime) -> dict[str, Any]:
    """An active one: tell Alertmanager of another end, or see whether somebody ended or changed it there."""
    if made.told_until != made.until and made.until > now:
        return _active(api.create({**_said(made, now), "id": made.remote_id}), made.until, now)
    known = api.get(made.remote_id)
    if known is None or known.state == EXPIRED:
        return _over(SilenceState.EXPIRED, now, "" if made.until <= now else "Alertmanager")
    changed = known.ends_at is not None and abs(known.ends_at - made.until) > timedelta(seconds=1)
    mirrored = {"until": known.ends_at, "told_until": known.ends_at} if changed else {}
    ends = known.ends_at if changed and known.ends_at is not None else made.until
    return {
        "problem": "",
        "tries": 0,
        "next_try_at": min(now + LOOK_EVERY, max(ends, now) + timedelta(seconds=2)),
        **mirrored,
    }


def _end(api: Api, made: Silence, now: datetime) -> dict[str, Any]:
    remote_id = made.remote_id
    if not remote_id:
        # It may have been made by a process that was killed before it wrote that down.
        found = api.find(mark_of(made))
        remote_id = found.silence_id if found is not None else ""
    if remote_id:
        api.expire(remote_id)
    return {"problem": "", "remote_id": remote_id, **_over(SilenceState.EXPIRED, now)}


_STEPS: Final = {SilenceState.WANTED: _create, SilenceState.ACTIVE: _look, SilenceState.ENDING: _end}


@transaction.atomic
def _write(made: Silence, news: dict[str, Any], now: datetime) -> None:
    """What a person asked for while Alertmanager was asked is not lost: it is still to be told."""
    row = Silence.objects.select_for_update(of=("self",)).select_related("episode").get(pk=made.pk)
    if row.ended_at is not None:
        return
    asked = (row.state, row.until) != (made.state, made.until)
    if asked:
        kept: dict[str, Any] = {key: news[key] for key in ("remote_id", "told_until", "problem") if key in news}
        wanted = SilenceState.ACTIVE if row.state == SilenceState.WANTED and news.get("remote_id") else row.state
        news = {**kept, "state": wanted, "next_try_at": now}
    for name, value in news.items():
        setattr(row, name, value)
    row.save(update_fields=list(news))
    if "state" in news and row.state != made.state:
        _mirror(row, now)


def _mirror(row: Silence, now: datetime) -> None:
    """The alert is held, or goes on, at once; the reconciler would see the same within a minute."""
    episode = Episode.objects.select_for_update(of=("self",)).get(pk=row.episode_id)
    by = [one for one in episode.suppressed_by if one != row.remote_id]
    if row.state == SilenceState.ACTIVE:
        by.append(row.remote_id)
        note_event(episode, "silence_active", now, silence=row.pk, until=row.until.isoformat())
    elif row.ended_at is not None:
        kind = "silence_failed" if row.state == SilenceState.FAILED else "silence_over"
        note_event(episode, kind, now, text=row.problem, silence=row.pk, by=row.ended_by)
        log.info("alerts.silence_over", silence=row.pk, state=row.state, problem=row.problem)
    episode.suppressed_by, episode.suppressed = by, bool(by) and episode.state in OPEN_STATES
    episode.save(update_fields=["suppressed_by", "suppressed"])
