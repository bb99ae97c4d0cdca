"""Everything the page of one message shows, in as few questions as it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.db.models import Q
from django.utils.translation import gettext as _

from apps.audit.models import AuditEntry
from apps.breakers.models import BreakerEvent
from apps.breakers.selectors import BreakerSnapshot, HistoryEntry
from apps.console.selectors.history import Entry, Wait, breaker_waits, ended_at, pause_waits, timeline
from apps.core.clock import now
from apps.core.errors import NotFound
from apps.outbox.explain import KEY_ROWS, Surroundings, explain, first_ahead, of_its_key
from apps.outbox.figures import Backlog
from apps.outbox.gates import Gate, gate_of
from apps.outbox.models import (
    LIVE,
    WAITING,
    Attempt,
    DeadLetter,
    DeadLetterState,
    DeliveryLane,
    Message,
    ReplayItem,
)
from apps.outbox.selectors import MessageDetail

MOST_ATTEMPTS: Final = 500
MOST_ROWS: Final = 100
MOST_EVENTS: Final = 200
PAUSES: Final = ("service.paused", "service.resumed")


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The live messages of its ordering key: how many stand before and behind it (``more`` when not all were
    counted), what it waits behind, and the next one behind it.
    """

    before: int
    behind: int
    more: bool
    head: Message | None
    follower: Message | None


@dataclass(frozen=True, slots=True)
class Story:
    """``next_try`` is when it is due, while it waits and nothing but that time holds it."""

    detail: MessageDetail
    entries: list[Entry]
    gate: Gate
    neighbours: Neighbours | None
    next_try: datetime | None
    attempts_left: int
    trail: list[AuditEntry]

    @property
    def open_letter(self) -> DeadLetter | None:
        return next((letter for letter in self.detail.deaths if letter.state == DeadLetterState.OPEN), None)


def find_message(message_id: int) -> Message:
    """With its service and that service's lane; raises :class:`NotFound`."""
    rows = Message.objects.select_related("service", "service__deliverylane")
    message = rows.filter(pk=message_id).first() if 0 < message_id < 2**63 else None
    if message is None:
        raise NotFound(_("There is no message {id}. It may have been pruned.").format(id=message_id))
    return message


def story(
    message_id: int,
    *,
    breakers: Mapping[str, BreakerSnapshot],
    backlog: Mapping[str, Backlog],
    may_read_trail: bool,
) -> Story:
    """One message with all around it; raises :class:`NotFound`. ``breakers`` may be a second old."""
    message = find_message(message_id)
    moment = now()
    gate = gate_of(message.service, _lane(message), breakers.get(message.service_id))
    deaths = list(DeadLetter.objects.filter(message_id=message_id).select_related("cause").order_by("id")[:MOST_ROWS])
    # Only the dead are replayed and corrected.
    items = _replays(message_id) if deaths else []
    key_rows = list(of_its_key(message)[:KEY_ROWS]) if message.ordering_key and message.status in LIVE else []
    around = _surroundings(message, moment, gate, backlog, (deaths, items), key_rows)
    original, copies = _relatives(message, has_copies=bool(deaths))
    attempts = list(Attempt.objects.filter(message_id=message_id).order_by("number", "id")[:MOST_ATTEMPTS])
    detail = MessageDetail(message, explain(message, around), attempts, deaths, items, original, copies)
    trail = _trail(message, deaths, may_read_trail=may_read_trail)
    pauses = [row for row in trail if row.action in PAUSES]
    own = [row for row in trail if row.action not in PAUSES]
    next_try = _next_try(message, gate, moment)
    return Story(
        detail=detail,
        entries=timeline(
            detail,
            breaker=_waits(message),
            pauses=pause_waits(pauses, ended_at(message)),
            trail=own,
            next_try=next_try,
        ),
        gate=gate,
        neighbours=_neighbours(message, key_rows) if key_rows else None,
        next_try=next_try,
        attempts_left=max(0, _most_attempts(message) - message.attempt_count),
        trail=own,
    )


def _lane(message: Message) -> DeliveryLane | None:
    """A service that never delivered has none."""
    return getattr(message.service, "deliverylane", None)


def _most_attempts(message: Message) -> int:
    return message.max_attempts or message.service.retry_policy.max_attempts


def _surroundings(
    message: Message,
    moment: datetime,
    gate: Gate,
    backlog: Mapping[str, Backlog],
    dead: tuple[list[DeadLetter], list[ReplayItem]],
    key_rows: list[Message],
) -> Surroundings:
    deaths, items = dead
    letter = deaths[-1] if deaths else None
    waiting = [item for item in items if letter and item.dead_letter_id == letter.pk and item.state == "waiting"]
    return Surroundings(
        moment,
        {message.service_id: gate},
        backlog,
        {message.service_id: message.service.retry_policy.max_attempts},
        ahead={message.pk: first_ahead(message, key_rows)},
        letters={message.pk: (letter, waiting[0].replay_id if waiting else None)},
    )


def _replays(message_id: int) -> list[ReplayItem]:
    return list(ReplayItem.objects.filter(message_id=message_id).select_related("replay").order_by("id")[:MOST_ROWS])


def _relatives(message: Message, *, has_copies: bool) -> tuple[Message | None, list[Message]]:
    """What it is a corrected copy of, and its own corrected copies."""
    wanted = Q(pk=message.edited_from) if message.edited_from else Q(pk__in=())
    if has_copies:
        wanted |= Q(edited_from=message.pk)
    if not (message.edited_from or has_copies):
        return None, []
    found = list(Message.objects.filter(wanted).only("id", "created_at", "edited_from", "status")[:MOST_ROWS])
    original = next((row for row in found if row.pk == message.edited_from), None)
    return original, sorted((row for row in found if row.edited_from == message.pk), key=lambda row: row.pk)


def _waits(message: Message) -> list[Wait]:
    """When the breaker kept it waiting: until it was sent, or died."""
    start, end = message.created_at, ended_at(message)
    rows = BreakerEvent.objects.filter(breaker__name=message.service_id, at__gte=_ms(start))
    if end is not None:
        rows = rows.filter(at__lte=_ms(end))
    events = [
        HistoryEntry(row.pk, message.service_id, row.happened_at, row.epoch, row.kind, row.actor, row.detail, "")
        for row in rows.order_by("at", "id")[:MOST_EVENTS]
    ]
    return breaker_waits(events, start, end)


def _ms(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1000)


def _trail(message: Message, deaths: list[DeadLetter], *, may_read_trail: bool) -> list[AuditEntry]:
    """What the trail says of it and its letters, for who may read it, and of pauses of its service, for everybody:
    its page says those too. Oldest first.
    """
    own = [f"message {message.pk}", *(f"dead letter {letter.pk}" for letter in deaths)] if may_read_trail else []
    during = Q(target=f"service:{message.service_id}", action__in=PAUSES, at__gte=message.created_at)
    end = ended_at(message)
    if end is not None:
        during &= Q(at__lte=end)
    # In the order of the index, so that it is used.
    rows = AuditEntry.objects.filter(Q(target__in=own) | during).order_by("target", "-id")[:MOST_ROWS]
    return sorted(rows, key=lambda row: row.pk)


def _next_try(message: Message, gate: Gate, moment: datetime) -> datetime | None:
    due = max(message.next_attempt_at, message.send_after or message.next_attempt_at)
    return due if message.status in WAITING and due > moment and not gate.shut else None


def _neighbours(message: Message, rows: list[Message]) -> Neighbours:
    return Neighbours(
        before=sum(row.pk < message.pk for row in rows),
        behind=sum(row.pk > message.pk for row in rows),
        more=len(rows) == KEY_ROWS,
        head=first_ahead(message, rows),
        follower=next((row for row in rows if row.pk > message.pk), None),
    )
