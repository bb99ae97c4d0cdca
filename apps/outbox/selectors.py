"""Reading the outbox: messages as a list and one by one, and what the pages and the API show about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

from apps.core.errors import NotFound
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
from apps.outbox.models import Attempt, DeadLetter, Message, ReplayItem
from apps.outbox.replays.selectors import Progress, get_replay, list_replays, progress, replay_items
from apps.outbox.search import Looked, MessageFilters, list_messages

__all__ = [
    "Backlog",
    "CauseSummary",
    "LetterDetail",
    "LetterFilters",
    "Looked",
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
        raise NotFound(_("There is no message {id}. It may have been pruned.").format(id=message_id))
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
