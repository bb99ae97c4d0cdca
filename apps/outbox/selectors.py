"""Reading the outbox: messages as a list and one by one, and what the pages and the API show about them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Max, Q, QuerySet

from apps.core.errors import Invalid, NotFound
from apps.core.pagination import Page, page_by_id
from apps.outbox.deadletters.selectors import (
    CauseSummary,
    LetterDetail,
    LetterFilters,
    cause,
    causes,
    dead_letter_detail,
    deaths_since,
    list_dead_letters,
    open_letters,
)
from apps.outbox.explain import why_waiting, why_waiting_many
from apps.outbox.figures import Backlog, ServiceFigures, backlog, figures_by_service, service_figures
from apps.outbox.models import Attempt, DeadLetter, Message, MessageStatus, ReplayItem
from apps.outbox.replays.selectors import Progress, get_replay, list_replays, progress, replay_items

__all__ = [
    "Backlog",
    "CauseSummary",
    "LetterDetail",
    "LetterFilters",
    "MessageDetail",
    "MessageFilters",
    "Progress",
    "ServiceFigures",
    "backlog",
    "cause",
    "causes",
    "changed_fields",
    "dead_letter_detail",
    "deaths_since",
    "figures_by_service",
    "get_replay",
    "list_dead_letters",
    "list_messages",
    "list_replays",
    "message_detail",
    "open_letters",
    "progress",
    "replay_items",
    "service_figures",
    "why_waiting",
    "why_waiting_many",
]

# Bodies may be a megabyte each; a list does not need them.
BIG_COLUMNS: Final = ("payload", "json", "body_template", "body_data", "headers")
# What no index answers is looked for among so many of the newest messages.
SEARCH_WINDOW: Final = 200_000
COMPARED: Final = (
    "service_id",
    "recipient",
    "subject",
    "body_template",
    "body_data",
    "template",
    "json",
    "payload",
    "content_type",
    "headers",
    "tenant_id",
    "priority",
    "ordering_key",
    "expires_at",
    "max_attempts",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilters:
    """What a list of messages shows; an empty value shows all.

    ``query`` finds a message by its number, its wire id (``msg_...``) or its idempotency key; any other
    text, and ``recipient``, is looked for in the newest 200,000 messages.
    """

    statuses: tuple[str, ...] = ()
    service: str = ""
    tenant_id: str = ""
    recipient: str = ""
    ordering_key: str = ""
    idempotency_key: str = ""
    source: str = ""
    replay_id: int | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    query: str = ""

    def queryset(self) -> QuerySet[Message]:
        """Raises :class:`Invalid` for a status there is none of."""
        unknown = [status for status in self.statuses if status not in MessageStatus.values]
        if unknown:
            raise Invalid.field("status", f"{unknown[0][:40]!r} is not one of {', '.join(MessageStatus.values)}")
        exact: dict[str, Any] = {
            "service_id": self.service,
            "tenant_id": self.tenant_id,
            "ordering_key": self.ordering_key,
            "idempotency_key": self.idempotency_key,
            "source": self.source,
            "replay_id": self.replay_id,
            "status__in": self.statuses,
            "created_at__gte": self.created_after,
            "created_at__lt": self.created_before,
        }
        rows = Message.objects.filter(**{name: value for name, value in exact.items() if value not in ("", None, ())})
        if self.recipient:
            rows = rows.filter(_recent(), recipient__icontains=_clean(self.recipient))
        return rows.filter(_search(_clean(self.query))) if self.query.strip() else rows


def _clean(text: str) -> str:
    return text.replace("\x00", "").strip()


def _recent() -> Q:
    newest = Message.objects.aggregate(newest=Max("id"))["newest"] or 0
    return Q(pk__gt=newest - SEARCH_WINDOW)


def _search(text: str) -> Q:
    if text.isascii() and text.isdigit() and len(text) < 19:
        return Q(pk=int(text))
    wire_id = _wire_uid(text)
    if wire_id is not None:
        return Q(uid=wire_id)
    if Message.objects.filter(idempotency_key=text).exclude(idempotency_key="").exists():
        return Q(idempotency_key=text)
    return _recent() & (Q(recipient__icontains=text) | Q(subject__icontains=text) | Q(last_error__icontains=text))


def _wire_uid(text: str) -> uuid.UUID | None:
    if not text.startswith("msg_"):
        return None
    try:
        return uuid.UUID(hex=text.removeprefix("msg_"))
    except ValueError:
        return None


def list_messages(filters: MessageFilters, *, cursor: int | None = None, limit: int = 50) -> Page[Message]:
    """A page of messages without their bodies, newest first."""
    return page_by_id(filters.queryset().defer(*BIG_COLUMNS), cursor=cursor, limit=limit)


@dataclass(frozen=True, slots=True)
class MessageDetail:
    """A message with all that happened to it. ``copies`` are corrected copies made of it, ``original``
    is what it is a corrected copy of (None also when that was pruned).
    """

    message: Message
    why: str
    attempts: list[Attempt]
    deaths: list[DeadLetter]
    replays: list[ReplayItem]
    original: Message | None
    copies: list[Message]


def message_detail(message_id: int) -> MessageDetail:
    """One message; raises :class:`NotFound`."""
    message = Message.objects.filter(pk=message_id).first() if 0 < message_id < 2**63 else None
    if message is None:
        raise NotFound(f"There is no message {message_id}. It may have been pruned.")
    items = ReplayItem.objects.filter(message_id=message_id).select_related("replay").order_by("id")
    return MessageDetail(
        message=message,
        why=why_waiting(message),
        attempts=list(Attempt.objects.filter(message_id=message_id).order_by("number", "id")[:500]),
        deaths=list(DeadLetter.objects.filter(message_id=message_id).select_related("cause").order_by("id")[:100]),
        replays=list(items[:100]),
        original=Message.objects.filter(pk=message.edited_from).first() if message.edited_from else None,
        copies=list(Message.objects.filter(edited_from=message_id).order_by("id")[:100]),
    )


def changed_fields(copy: Message, original: Message) -> Mapping[str, tuple[Any, Any]]:
    """What differs between a corrected copy and its original: field -> (before, after)."""
    pairs = {name.removesuffix("_id"): (getattr(original, name), getattr(copy, name)) for name in COMPARED[:1]}
    pairs |= {name: (getattr(original, name), getattr(copy, name)) for name in COMPARED[1:]}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
