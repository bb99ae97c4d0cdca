"""The outbox as its pages show it: rows with a few words why, and one message as a timeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from apps.console import marks
from apps.console.marks import Mark
from apps.core import human
from apps.core.clock import now
from apps.core.masking import mask_addresses
from apps.core.pagination import Page
from apps.outbox.models import WAITING, Attempt, DeadLetter, Message, MessageStatus, ReplayItem
from apps.outbox.search import accepted_at, count_newer, newest_id
from apps.outbox.selectors import MessageDetail, MessageFilters, list_messages

PER_PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message in a list. ``until`` is the time a countdown behind ``brief`` runs to."""

    message: Message
    mark: Mark
    brief: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class MessagePage:
    """``newer`` counts messages accepted since the page was loaded; ``anchor`` is its newest message.

    When it looked through ``among`` messages and stopped, ``down_to`` is the last one it looked at and
    ``down_to_at`` when that was accepted.
    """

    items: list[MessageRow]
    next_cursor: int | None
    anchor: int = 0
    newer: int = 0
    among: int = 0
    down_to: int | None = None
    down_to_at: datetime | None = None


def message_page(
    filters: MessageFilters, doors: Mapping[str, Door], *, cursor: int | None, anchor: int | None
) -> MessagePage:
    """A page of rows. With ``anchor`` the rows stay what they were and only newer ones are counted."""
    live = cursor is None and anchor is not None
    start = anchor + 1 if live and anchor is not None else cursor
    found = list_messages(filters, cursor=start, limit=PER_PAGE)
    first = newest_id() if not found.items else found.items[0].pk
    return MessagePage(
        rows_of(found, doors),
        found.next_cursor,
        anchor if anchor is not None else first,
        count_newer(filters, anchor) if live and anchor is not None else 0,
        found.among,
        found.down_to,
        accepted_at(found.down_to) if found.down_to is not None else None,
    )


def rows_of(page: Page[Message], doors: Mapping[str, Door]) -> list[MessageRow]:
    moment = now()
    return [_row(message, doors.get(message.service_id, Door()), moment) for message in page.items]


@dataclass(frozen=True, slots=True)
class Door:
    """What may hold back every message of a service."""

    paused: bool = False
    state: str = "CLOSED"


def _row(message: Message, door: Door, moment: datetime) -> MessageRow:
    text, until = brief(message, door, moment)
    return MessageRow(message, marks.MESSAGE[message.status], text, until)


def brief(message: Message, door: Door, moment: datetime) -> tuple[str, datetime | None]:
    """A few words why a message is where it is, and the time they count down to."""
    status = message.status
    if status in WAITING:
        return _brief_wait(message, door, moment)
    if status == MessageStatus.SENDING:
        return f"with {message.claimed_by or 'a worker'}", None
    if status == MessageStatus.SENT and message.sent_at is not None:
        return f"after {human.span((message.sent_at - message.created_at).total_seconds())}", None
    if status == MessageStatus.DLQ:
        return mask_addresses(message.last_error) or "no error text", None
    return ("not sent before it expired", None) if status == MessageStatus.EXPIRED else ("by a person", None)


def _brief_wait(message: Message, door: Door, moment: datetime) -> tuple[str, datetime | None]:
    if door.paused:
        return f"{message.service_id} is paused", None
    if door.state in ("OPEN", "FORCED_OPEN"):
        return f"breaker of {message.service_id} is open", None
    if message.held:
        return "behind another message of its key", None
    due = max(message.next_attempt_at, message.send_after or message.next_attempt_at)
    if due > moment:
        return ("scheduled, in" if message.send_after == due else "tried again in"), due
    if door.state == "HALF_OPEN":
        return f"{message.service_id} is tested with one message at a time", None
    return "due", None


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a message. ``said`` is what the other side said, which may be personal."""

    at: datetime
    tone: str
    title: str
    text: str = ""
    said: str = ""
    href: str = ""
    response: str = ""
    order: int = field(default=0, compare=False)


def timeline(detail: MessageDetail) -> list[Entry]:
    """Accepting, attempts with the waits between them, deaths, replays, copies and the end, oldest first."""
    message = detail.message
    entries = [_accepted(message), *_attempts(detail.attempts)]
    said = {attempt.error for attempt in detail.attempts}
    entries += [_death(letter, said) for letter in detail.deaths]
    entries += [_discard(letter) for letter in detail.deaths if letter.state == "discarded" and letter.resolved_at]
    entries += [_released(item) for item in detail.replays if item.released_at]
    entries += [
        Entry(copy.created_at, "info", f"Corrected copy sent as message {copy.pk}", href=f"/outbox/{copy.pk}", order=5)
        for copy in detail.copies
    ]
    if message.status in (MessageStatus.CANCELLED, MessageStatus.EXPIRED) and message.settled_at:
        title = "Cancelled" if message.status == MessageStatus.CANCELLED else "Expired before it could be sent"
        entries.append(Entry(message.settled_at, "unknown", title, order=6))
    return sorted(entries, key=lambda entry: (entry.at, entry.order))


def _accepted(message: Message) -> Entry:
    facts = [
        f"from {message.source}" if message.source else "",
        f"request {message.request_id}" if message.request_id else "",
    ]
    return Entry(message.created_at, "info", "Accepted", " · ".join(fact for fact in facts if fact), order=-1)


def _attempts(attempts: Iterable[Attempt]) -> list[Entry]:
    entries = []
    before: datetime | None = None
    for attempt in attempts:
        mark = marks.ATTEMPT[attempt.outcome]
        waited = f"{human.span((attempt.started_at - before).total_seconds())} later" if before else ""
        status = f"answered {attempt.status_code}" if attempt.status_code else ""
        facts = [status, human.milliseconds(attempt.duration_ms), attempt.worker, waited]
        text = " · ".join(fact for fact in facts if fact)
        entries.append(
            Entry(
                attempt.started_at,
                mark.tone,
                f"Attempt {attempt.number}: {mark.label}",
                text,
                said=attempt.error,
                response=attempt.response,
            )
        )
        before = attempt.started_at
    return entries


def _death(letter: DeadLetter, said: set[str]) -> Entry:
    title = f"Became a dead letter: {letter.get_reason_display().lower()}"
    error = "" if letter.error in said else letter.error
    return Entry(letter.died_at, "bad", title, said=error, href=f"/dead-letters/{letter.pk}", order=2)


def _discard(letter: DeadLetter) -> Entry:
    assert letter.resolved_at is not None
    return Entry(letter.resolved_at, "unknown", f"Discarded by {letter.resolved_by}", letter.note, order=4)


def _released(item: ReplayItem) -> Entry:
    assert item.released_at is not None
    who = item.replay.created_by
    title = f"Put back by replay {item.replay_id}"
    reason = f" · “{item.replay.reason}”" if item.replay.reason else ""
    return Entry(
        item.released_at, "info", title, f"started by {who}{reason}", href=f"/replays/{item.replay_id}", order=3
    )
