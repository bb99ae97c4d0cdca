"""The outbox as its list shows it: rows with a few words why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils.translation import gettext as _

from apps.console import marks
from apps.console.marks import Mark
from apps.core import human
from apps.core.clock import now
from apps.core.masking import mask_addresses
from apps.core.pagination import Page
from apps.outbox.models import WAITING, Message, MessageStatus
from apps.outbox.search import accepted_at, count_newer, newest_id
from apps.outbox.selectors import MessageFilters, list_messages

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
    first = found.items[0].pk if found.items else newest_id() if found.newest is None else found.newest
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
        return _("with {worker}").format(worker=message.claimed_by or _("a worker")), None
    if status == MessageStatus.SENT and message.sent_at is not None:
        span = human.span((message.sent_at - message.created_at).total_seconds())
        return _("after {span}").format(span=span), None
    if status == MessageStatus.DLQ:
        return mask_addresses(message.last_error) or _("no error text"), None
    return (_("not sent before it expired") if status == MessageStatus.EXPIRED else _("by a person")), None


def _brief_wait(message: Message, door: Door, moment: datetime) -> tuple[str, datetime | None]:
    service = message.service_id
    if door.paused:
        return _("{service} is paused").format(service=service), None
    if door.state in ("OPEN", "FORCED_OPEN"):
        return _("breaker of {service} is open").format(service=service), None
    if message.held:
        return _("behind another message of its key"), None
    due = max(message.next_attempt_at, message.send_after or message.next_attempt_at)
    if due > moment:
        return (_("scheduled, in") if message.send_after == due else _("tried again in")), due
    if door.state == "HALF_OPEN":
        return _("{service} is tested with one message at a time").format(service=service), None
    return _("due"), None
