"""Putting dead letters back: the same message, waiting again, under the same identity on the wire."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from django.db.models import Case, QuerySet, Value, When
from django.db.models.functions import Now

from apps.outbox.models import DeadLetter, DeadLetterState, Message, MessageStatus, Replay, ReplayItem
from apps.outbox.nudge import nudge

State = ReplayItem.State
Item = tuple[int, int, int]
# Letters that were discarded meanwhile cost a look each; so many looks in one step at most.
LOOK_AHEAD: Final = 200
ROUNDS: Final = 20


def release(replay: Replay, quota: int, *, service: str | None = None) -> int:
    """Put back up to ``quota`` waiting letters, lowest message first; of one ``service`` if given.

    What can no longer be put back becomes skipped, with a note. Returns how many were put back. Must
    run inside the transaction that holds the replay's row.
    """
    waiting = ReplayItem.objects.filter(replay_id=replay.pk, state=State.WAITING).order_by("pk")
    if service is not None:
        waiting = waiting.filter(dead_letter__service=service)
    done = 0
    for _ in range(ROUNDS):
        if done >= quota:
            break
        items = _some(waiting, max(LOOK_AHEAD, quota - done))
        if not items:
            break
        done += _release_some(replay, items, quota - done)
    if done:
        nudge()
    return done


def _some(waiting: QuerySet[ReplayItem], limit: int) -> list[Item]:
    return list(waiting.values_list("pk", "dead_letter_id", "message_id")[:limit])


def _release_some(replay: Replay, items: Sequence[Item], quota: int) -> int:
    obstacles = _obstacles(items)
    skipped: dict[str, list[int]] = defaultdict(list)
    for item, _, _ in items:
        if item in obstacles:
            skipped[obstacles[item]].append(item)
    for note, ids in skipped.items():
        _waiting(ids).update(state=State.SKIPPED, note=note, settled_at=Now())
    chosen = [item for item in items if item[0] not in obstacles][:quota]
    if chosen:
        _put_back(replay, chosen)
    return len(chosen)


def _obstacles(items: Sequence[Item]) -> dict[int, str]:
    """Why items cannot be put back. Locks their letters and messages, so that the answer stays true."""
    letters = dict(
        DeadLetter.objects.select_for_update(no_key=True)
        .filter(pk__in=[letter for _, letter, _ in items])
        .order_by("pk")
        .values_list("pk", "state")
    )
    expired = Case(When(expires_at__lte=Now(), then=Value(1)), default=Value(0))
    messages = {
        pk: (status, bool(is_expired))
        for pk, status, is_expired in Message.objects.select_for_update(no_key=True)
        .filter(pk__in=[message for _, _, message in items])
        .order_by("pk")
        .values_list("pk", "status", expired)
    }
    found: dict[int, str] = {}
    for item, letter, message in items:
        text = _obstacle(letters.get(letter), messages.get(message))
        if text:
            found[item] = text
    return found


def _obstacle(letter: str | None, message: tuple[str, bool] | None) -> str:
    if letter is None or message is None:
        return "the message was pruned"
    if letter != DeadLetterState.OPEN:
        return f"the dead letter was {letter} meanwhile"
    status, expired = message
    if status != MessageStatus.DLQ:
        return f"the message is no longer a dead letter, it is {status}"
    return "the message has expired" if expired else ""


def _put_back(replay: Replay, items: Sequence[Item]) -> None:
    """``last_error`` is kept, to be read until the next attempt; attempts are counted from zero again."""
    Message.objects.filter(pk__in=[message for _, _, message in items], status=MessageStatus.DLQ).update(
        status=MessageStatus.PENDING,
        held=False,
        attempt_count=0,
        next_attempt_at=Now(),
        claim_id=None,
        claimed_by="",
        lease_until=None,
        settled_at=None,
        replay_id=replay.pk,
    )
    DeadLetter.objects.filter(pk__in=[letter for _, letter, _ in items], state=DeadLetterState.OPEN).update(
        state=DeadLetterState.REPLAYED, replay_id=replay.pk, resolved_at=Now(), resolved_by=replay.created_by
    )
    _waiting([item for item, _, _ in items]).update(state=State.RELEASED, released_at=Now())


def _waiting(ids: Sequence[int]) -> QuerySet[ReplayItem]:
    return ReplayItem.objects.filter(pk__in=ids, state=State.WAITING)
