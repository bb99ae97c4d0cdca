"""What became of the letters a replay put back: read from their messages, decided purely."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Now

from apps.outbox.models import DeadLetter, MessageStatus, Replay, ReplayItem

State = ReplayItem.State


@dataclass(slots=True)
class Looked:
    """What one look at the released items found, by service."""

    settled: Counter[str] = field(default_factory=Counter)
    under_way: Counter[str] = field(default_factory=Counter)


def verdict(status: str, died_again: bool) -> tuple[ReplayItem.State, str] | None:
    """What an item became and a note, or None while its message is on its way.

    ``died_again`` (a newer dead letter of the message) comes first: the message may have been put
    back by the next replay already, and what that one achieves is not this one's success.
    """
    if died_again or status == MessageStatus.DLQ:
        return State.FAILED, ""
    if status == MessageStatus.SENT:
        return State.SENT, ""
    if status == MessageStatus.CANCELLED:
        return State.SKIPPED, "cancelled after it was put back"
    if status == MessageStatus.EXPIRED:
        return State.SKIPPED, "expired before it could be sent"
    return None


def look_at_released(replay: Replay) -> Looked:
    """Settle the items whose message has ended, and count by service what ended and what is under way."""
    newer = DeadLetter.objects.filter(message_id=OuterRef("message_id"), pk__gt=OuterRef("dead_letter_id"))
    released = ReplayItem.objects.filter(replay_id=replay.pk, state=State.RELEASED)
    looked = Looked()
    became: dict[tuple[ReplayItem.State, str, str], list[int]] = defaultdict(list)
    for item, service, status, again in released.values_list(
        "pk", "dead_letter__service", "message__status", Subquery(newer.order_by("-pk").values("cause_id")[:1])
    ):
        found = verdict(status, again is not None)
        if found is None:
            looked.under_way[service] += 1
        else:
            looked.settled[service] += 1
            became[(*found, (again or "") if found[0] == State.FAILED else "")].append(item)
    for (state, note, cause), items in became.items():
        changed = ReplayItem.objects.filter(pk__in=items)
        changed.update(state=state, note=note, cause=cause, settled_at=Now())
    return looked
