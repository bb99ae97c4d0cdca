"""What people do with many alerts at once. One transaction, one audit row that can be undone, a line in each story.

The rows of their sources are taken first: who takes posts in holds them too, so the two never wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from apps.alerts.episodes import State
from apps.alerts.models import AlertSource, Episode, EpisodeEvent, Escalation, Notification
from apps.alerts.selectors import MOST_CHOSEN
from apps.alerts.silencing import silence
from apps.alerts.telling import is_acknowledged, tell_acknowledged
from apps.audit.models import AuditEntry
from apps.audit.services import record
from apps.core import human
from apps.core.actor import ALERTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict, Invalid, NotFound

CHUNK: Final = 500
ACKNOWLEDGEMENT: Final = ("acknowledged_at", "acknowledged_by", "acknowledged_until")


@dataclass(frozen=True, slots=True)
class Outcome:
    """``left`` are those nothing was done to, by id, and why. ``entry`` is the audit row, by which it can be undone."""

    done: list[int] = field(default_factory=list)
    left: dict[int, str] = field(default_factory=dict)
    entry: int = 0


@transaction.atomic
def acknowledge(
    *,
    ids: Sequence[int],
    actor: Actor,
    reason: str = "",
    until: datetime | None = None,
    silence_until: datetime | None = None,
) -> Outcome:
    """Say that somebody is at them. Whoever was first stays; Conflict when there is nothing left to acknowledge.

    With ``silence_until`` their Alertmanagers are asked to be silent about them as well.
    """
    rows, now = _held(ids, actor)
    _in_future(until, now)

    def why_not(episode: Episode) -> str:
        if episode.state == State.RESOLVED:
            return _("{name} is resolved; there is nothing to acknowledge.").format(name=episode.name[:200])
        if is_acknowledged(episode, now):
            text = _("{name} was acknowledged by {who} already, {ago}.")
            ago = human.ago(episode.acknowledged_at or now, now)
            return text.format(name=episode.name[:200], who=episode.acknowledged_by, ago=ago)
        return ""

    changes = dict(zip(ACKNOWLEDGEMENT, (now, str(actor)[:200], until), strict=True))
    outcome = _change(rows, now, actor, "alert.acknowledged", changes, why_not, reason, until=_text(until))
    _tell_acknowledged(outcome.done, str(actor), now)
    if silence_until is not None:
        for episode_id in outcome.done:
            silence(episode_id=episode_id, actor=actor, until=silence_until, reason=reason or "Acknowledged")
    return outcome


def _tell_acknowledged(ids: Sequence[int], who: str, now: datetime) -> None:
    """Those who keep a state of their own, of what they were told of by itself; a storm's alerts were not."""
    for start in range(0, len(ids), CHUNK):
        by_itself = Notification.objects.filter(escalation=OuterRef("pk"), message_id__isnull=False, storm__isnull=True)
        rows = Escalation.objects.filter(Exists(by_itself), episode__in=ids[start : start + CHUNK], ended_at=None)
        for row in rows.select_related("episode").order_by("pk"):
            tell_acknowledged(row, who, now)


@transaction.atomic
def assign(*, ids: Sequence[int], actor: Actor, assignee: str) -> Outcome:
    """Say who looks after them; empty: nobody."""
    if len(assignee) > 200 or not assignee.isprintable():
        raise Invalid.field("assignee", _("must be one line of at most 200 characters"))
    rows, now = _held(ids, actor)

    def why_not(episode: Episode) -> str:
        if episode.assignee != assignee:
            return ""
        text = _("{name} is assigned to {who} already.") if assignee else _("{name} is assigned to nobody already.")
        return text.format(name=episode.name[:200], who=assignee)

    return _change(rows, now, actor, "alert.assigned", {"assignee": assignee}, why_not, "", assignee=assignee)


@transaction.atomic
def snooze(*, ids: Sequence[int], actor: Actor, until: datetime | None, reason: str = "") -> Outcome:
    """Tell nobody of them until then; None ends it."""
    rows, now = _held(ids, actor)
    _in_future(until, now)

    def why_not(episode: Episode) -> str:
        if episode.state == State.RESOLVED:
            return _("{name} is resolved; nobody would be told of it.").format(name=episode.name[:200])
        if until is None and (episode.snoozed_until is None or episode.snoozed_until <= now):
            return _("{name} is not snoozed.").format(name=episode.name[:200])
        return ""

    return _change(rows, now, actor, "alert.snoozed", {"snoozed_until": until}, why_not, reason, until=_text(until))


def _change(
    rows: Sequence[Episode],
    now: datetime,
    actor: Actor,
    action: str,
    changes: dict[str, Any],
    why_not: Callable[[Episode], str],
    reason: str,
    **detail: Any,
) -> Outcome:
    """Put ``changes`` into every row that nothing speaks against, and write it down."""
    left = {episode.pk: why for episode in rows if (why := why_not(episode))}
    taken = [episode for episode in rows if episode.pk not in left]
    if not taken:
        raise Conflict(" ".join([*dict.fromkeys(left.values())][:3]))
    before = {str(row.pk): {name: _text(getattr(row, name)) for name in changes} for row in taken}
    ids = [row.pk for row in taken]
    for start in range(0, len(ids), CHUNK):
        Episode.objects.filter(pk__in=ids[start : start + CHUNK]).update(**changes)
    _tell(taken, action, now, actor, reason, detail)
    target = f"alert:{ids[0]}" if len(ids) == 1 else f"{len(ids)} alerts"
    after = {**detail, "ids": ids, "set": {name: _text(value) for name, value in changes.items()}}
    entry = record(actor=actor, action=action, target=target, before=before, after=after, reason=reason)
    return Outcome(ids, left, entry.pk)


def _tell(rows: Sequence[Episode], action: str, now: datetime, actor: Actor, text: str, detail: dict[str, Any]) -> None:
    kind = action.removeprefix("alert.")
    EpisodeEvent.objects.bulk_create(
        [
            EpisodeEvent(episode=row, kind=kind, at=now, actor=str(actor)[:200], text=text, detail=detail)
            for row in rows
        ],
        batch_size=CHUNK,
    )


UNDO: Final = {
    "alert.acknowledged": ("alert.acknowledgement_taken_back", ACKNOWLEDGEMENT),
    "alert.assigned": ("alert.assigned", ("assignee",)),
    "alert.snoozed": ("alert.snoozed", ("snoozed_until",)),
}


@transaction.atomic
def undo(*, entry_id: int, actor: Actor) -> Outcome:
    """Give each alert what it had before the press that ``entry_id`` tells of, unless somebody changed it since.

    Raises NotFound for no such press, Conflict when nothing is left to undo.
    """
    require(actor, ALERTS_WORK)
    entry = AuditEntry.objects.filter(pk=entry_id, action__in=UNDO, actor=actor.name).first()
    if entry is None or not isinstance(entry.after, dict) or not isinstance(entry.before, dict):
        raise NotFound(_("There is nothing of yours here that could be undone."))
    action, names = UNDO[entry.action]
    rows, now = _held(entry.after.get("ids", []), actor)
    same = [row for row in rows if _still(row, entry, names)]
    if not same:
        raise Conflict(_("Somebody has changed it since: there is nothing left to undo."))
    for row in same:
        _restore(row, entry.before.get(str(row.pk), {}), names)
    Episode.objects.bulk_update(same, list(names), batch_size=100)
    detail = {"undone": entry_id}
    _tell(same, action, now, actor, "", detail)
    ids = [row.pk for row in same]
    target = f"alert:{ids[0]}" if len(ids) == 1 else f"{len(ids)} alerts"
    made = record(actor=actor, action=action, target=target, after={**detail, "ids": ids})
    return Outcome(ids, {row.pk: "" for row in rows if row not in same}, made.pk)


def _still(row: Episode, entry: AuditEntry, names: Sequence[str]) -> bool:
    """Is it as that press left it?"""
    left = entry.after.get("set", {}) if isinstance(entry.after, dict) else {}
    return all(_text(getattr(row, name)) == left.get(name) for name in names)


def _restore(row: Episode, before: dict[str, Any], names: Sequence[str]) -> None:
    for name in names:
        value = before.get(name)
        timed = name not in ("assignee", "acknowledged_by")
        setattr(row, name, parse_datetime(value) if timed and value else None if timed else value or "")


def _held(ids: Sequence[int], actor: Actor) -> tuple[list[Episode], datetime]:
    """The episodes, with their sources and escalations held, in one order everywhere."""
    require(actor, ALERTS_WORK)
    wanted = sorted(set(ids))
    if len(wanted) > MOST_CHOSEN:
        raise Invalid.field("ids", _("means more than {most} alerts: do it in parts").format(most=MOST_CHOSEN))
    found: list[Episode] = []
    names = set()
    for start in range(0, len(wanted), CHUNK):
        names |= set(Episode.objects.filter(pk__in=wanted[start : start + CHUNK]).values_list("source_id", flat=True))
    list(AlertSource.objects.select_for_update().filter(pk__in=names).order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(wanted), CHUNK):
        part = wanted[start : start + CHUNK]
        running = Escalation.objects.select_for_update().filter(episode__in=part).order_by("pk")
        list(running.values_list("pk", flat=True))
        rows = Episode.objects.select_for_update(of=("self",)).filter(pk__in=part).order_by("pk")
        found += rows.defer("annotations", "labels", "refired")
    if not found:
        raise NotFound(_("There is no such alert any more. It may have been pruned."))
    return found, database_now()


def _in_future(until: datetime | None, now: datetime) -> None:
    if until is not None and (until.tzinfo is None or until <= now):
        raise Invalid.field("until", _("must be a time with its zone, in the future"))


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
