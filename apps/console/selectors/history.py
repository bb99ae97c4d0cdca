"""One message as a timeline: all that happened to it and around it, put together from rows that are given. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext as _

from apps.audit.models import AuditEntry
from apps.breakers.machine import Kind
from apps.breakers.selectors import HistoryEntry
from apps.console import marks
from apps.core import human
from apps.outbox.models import WAITING, Attempt, DeadLetter, Message, MessageStatus, ReplayItem
from apps.outbox.selectors import MessageDetail

SHUTS: Final = {Kind.OPENED, Kind.REOPENED, Kind.FORCED_OPEN}
OPENS: Final = {Kind.CLOSED, Kind.RESET, Kind.FORCED_CLOSED, Kind.METRICS_ONLY, Kind.OVERRIDE_ENDED}
# What is said of a letter here already, and so is not repeated from the trail.
TOLD: Final = {"message.cancelled"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a message. ``said`` is what the other side said, which may be personal;
    ``until`` is a time the title counts down to.
    """

    at: datetime
    tone: str
    title: str
    text: str = ""
    said: str = ""
    href: str = ""
    response: str = ""
    until: datetime | None = None
    order: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing of the service went out: from when, until when (None: still), and who or what shut it."""

    start: datetime
    end: datetime | None
    by: str = ""
    reason: str = ""


def timeline(
    detail: MessageDetail,
    *,
    breaker: Sequence[Wait] = (),
    pauses: Sequence[Wait] = (),
    trail: Iterable[AuditEntry] = (),
    next_try: datetime | None = None,
) -> list[Entry]:
    """Accepting, attempts with the waits between them, deaths, what people did, replays, copies and the end,
    oldest first.
    """
    message = detail.message
    entries = [_accepted(message), *_attempts(detail.attempts)]
    entries += [_breaker_wait(wait, message.service_id) for wait in breaker]
    entries += [_pause(wait, message.service_id) for wait in pauses]
    said = {attempt.error for attempt in detail.attempts}
    entries += [_death(letter, said) for letter in detail.deaths]
    entries += [_discard(letter) for letter in detail.deaths if letter.state == "discarded" and letter.resolved_at]
    entries += [_released(item) for item in detail.replays if item.released_at]
    entries += [_copy(copy) for copy in detail.copies]
    entries += [_done_by(row) for row in trail if row.action not in TOLD]
    entries += _end(message, trail)
    if next_try is not None:
        entries.append(Entry(next_try, "", _("Next try"), until=next_try, order=9))
    return sorted(entries, key=lambda entry: (entry.at, entry.order))


def _accepted(message: Message) -> Entry:
    source = _("from {source}").format(source=message.source) if message.source else _("by plain SQL or Python")
    facts = [source, _("request {id}").format(id=message.request_id) if message.request_id else ""]
    if message.template:
        version = message.template_version or 1
        facts.append(_("template {name} v{version}").format(name=message.template, version=version))
    return Entry(message.created_at, "info", _("Accepted"), _joined(facts), order=-1)


def _joined(facts: Iterable[str]) -> str:
    return " · ".join(fact for fact in facts if fact)


def _attempts(attempts: Iterable[Attempt]) -> list[Entry]:
    entries = []
    before: datetime | None = None
    for attempt in attempts:
        mark = marks.ATTEMPT[attempt.outcome]
        later = human.span((attempt.started_at - before).total_seconds()) if before else ""
        text = _joined(
            [
                _("answered {status}").format(status=attempt.status_code) if attempt.status_code else "",
                human.milliseconds(attempt.duration_ms),
                attempt.worker,
                _("{span} later").format(span=later) if later else "",
            ]
        )
        title = _("Attempt {number}: {outcome}").format(number=attempt.number, outcome=mark.label)
        entries.append(Entry(attempt.started_at, mark.tone, title, text, said=attempt.error, response=attempt.response))
        before = attempt.started_at
    return entries


def _breaker_wait(wait: Wait, service: str) -> Entry:
    if wait.end is None:
        title = _("The breaker of {service} is open").format(service=service)
    else:
        span = human.span((wait.end - wait.start).total_seconds())
        title = _("The breaker of {service} was open for {span}").format(service=service, span=span)
    until = _("until {time}").format(time=human.clock_in_zone(wait.end, wait.start)) if wait.end else ""
    by = _("by {who}").format(who=wait.by) if wait.by else ""
    return Entry(wait.start, "bad", title, _joined([until, by, wait.reason]), order=1)


def _pause(wait: Wait, service: str) -> Entry:
    if wait.end is None:
        title = _("{service} is paused").format(service=service)
    else:
        span = human.span((wait.end - wait.start).total_seconds())
        title = _("{service} was paused for {span}").format(service=service, span=span)
    by = _("by {who}").format(who=wait.by) if wait.by else ""
    return Entry(wait.start, "unknown", title, _joined([by, wait.reason]), order=1)


def _death(letter: DeadLetter, said: set[str]) -> Entry:
    title = _("Became a dead letter: {reason}").format(reason=str(letter.get_reason_display()).lower())
    error = "" if letter.error in said else letter.error
    return Entry(letter.died_at, "bad", title, said=error, href=f"/dead-letters/{letter.pk}", order=2)


def _discard(letter: DeadLetter) -> Entry:
    assert letter.resolved_at is not None
    title = _("Discarded by {who}").format(who=letter.resolved_by)
    return Entry(letter.resolved_at, "unknown", title, letter.note, order=4)


def _released(item: ReplayItem) -> Entry:
    assert item.released_at is not None
    title = _("Put back by replay {id}").format(id=item.replay_id)
    text = _joined(
        [
            _("started by {who}").format(who=item.replay.created_by),
            f"“{item.replay.reason}”" if item.replay.reason else "",
        ]
    )
    return Entry(item.released_at, "info", title, text, href=f"/replays/{item.replay_id}", order=3)


def _copy(copy: Message) -> Entry:
    title = _("Corrected copy sent as message {id}").format(id=copy.pk)
    return Entry(copy.created_at, "info", title, href=f"/outbox/{copy.pk}", order=5)


DONE: Final[dict[str, tuple[str, str]]] = {
    "message.revealed": ("unknown", "revealed"),
    "message.retried_now": ("info", "retried"),
}


def _done_by(row: AuditEntry) -> Entry:
    """What somebody did, in the words of the trail where there are no better ones."""
    tone, what = DONE.get(row.action, ("info", ""))
    titles = {
        "revealed": _("Shown in clear to {who}"),
        "retried": _("Made due at once by {who}"),
        "": _("{action} by {who}"),
    }
    title = titles[what].format(who=row.actor, action=row.action)
    text = f"“{row.reason}”" if row.reason else ""
    return Entry(row.at, tone, title, text, href=f"/audit/{row.pk}", order=4)


def _end(message: Message, trail: Iterable[AuditEntry]) -> list[Entry]:
    if message.status == MessageStatus.CANCELLED and message.settled_at:
        row = next((row for row in trail if row.action == "message.cancelled"), None)
        if row is None:
            return [Entry(message.settled_at, "unknown", _("Cancelled"), order=6)]
        title = _("Cancelled by {who}").format(who=row.actor)
        text = f"“{row.reason}”" if row.reason else ""
        return [Entry(message.settled_at, "unknown", title, text, href=f"/audit/{row.pk}", order=6)]
    if message.status == MessageStatus.EXPIRED and message.settled_at:
        return [Entry(message.settled_at, "unknown", _("Expired before it could be sent"), order=6)]
    return []


# --- what held it up -------------------------------------------------------------------------------
def breaker_waits(events: Iterable[HistoryEntry], start: datetime, end: datetime | None) -> list[Wait]:
    """When the breaker was shut between ``start`` and ``end`` (None: it still waits). Events oldest first, all of
    that time; an end without a begin means that it was shut from the start.
    """
    found: list[Wait] = []
    since: Wait | None = None
    for number, event in enumerate(events):
        if event.kind in SHUTS:
            first = event.kind == Kind.REOPENED and number == 0
            begun = start if first else max(start, event.at)
            since = since or Wait(begun, None, event.actor, str(event.detail.get("reason", "")))
        elif event.kind in OPENS and (since is not None or (number == 0 and event.kind == Kind.CLOSED)):
            wait = since or Wait(start, None)
            found.append(Wait(wait.start, event.at, wait.by, wait.reason))
            since = None
    if since is not None:
        found.append(Wait(since.start, end, since.by, since.reason))
    return found


def pause_waits(rows: Iterable[AuditEntry], end: datetime | None) -> list[Wait]:
    """The same for pauses of the service, from the trail, oldest first."""
    found: list[Wait] = []
    since: AuditEntry | None = None
    for row in rows:
        if row.action == "service.paused":
            since = since or row
        elif row.action == "service.resumed" and since is not None:
            found.append(Wait(since.at, row.at, since.actor, since.reason))
            since = None
    if since is not None:
        found.append(Wait(since.at, end, since.actor, since.reason))
    return found


def ended_at(message: Message) -> datetime | None:
    """When it stopped waiting for good; None while it waits."""
    if message.status in (*WAITING, MessageStatus.SENDING):
        return None
    end: Any = message.sent_at or message.settled_at or message.created_at
    found: datetime = end
    return found
