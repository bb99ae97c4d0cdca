"""Forgetting closed dead letters after a while. Open ones stay, however old: nobody has decided about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from apps.outbox.models import (
    Attempt,
    DeadLetter,
    DeadLetterState,
    Message,
    MessageStatus,
    ReplayItem,
    Triage,
    TriageMark,
    TriageState,
)

BATCH: Final = 1000
BATCHES: Final = 20
ACTIVE: Final = (ReplayItem.State.WAITING, ReplayItem.State.RELEASED)


def prune_closed(*, keep: timedelta, limit: int = BATCH) -> int:
    """Delete up to ``limit`` letters that were closed longer than ``keep`` ago, and the messages that nothing but
    these letters kept: dead ones without any other letter. Returns how many letters went.
    """
    skip = connection.features.has_select_for_update_skip_locked
    with transaction.atomic():
        in_replay = ReplayItem.objects.filter(dead_letter=OuterRef("pk"), state__in=ACTIVE)
        closed = DeadLetter.objects.exclude(state=DeadLetterState.OPEN).filter(resolved_at__lt=Now() - keep)
        rows = list(
            closed.filter(~Exists(in_replay))
            .order_by("resolved_at")
            .select_for_update(skip_locked=skip)
            .values_list("pk", "message_id")[:limit]
        )
        _delete([pk for pk, _ in rows], [message for _, message in rows])
    return len(rows)


def _delete(letters: Sequence[int], messages: Sequence[int]) -> None:
    TriageMark.objects.filter(letter_id__in=letters).delete()
    ReplayItem.objects.filter(dead_letter_id__in=letters).delete()
    DeadLetter.objects.filter(pk__in=letters).delete()
    kept = DeadLetter.objects.filter(message=OuterRef("pk"))
    dead = Message.objects.filter(pk__in=messages, status=MessageStatus.DLQ).filter(~Exists(kept))
    gone = list(dead.values_list("pk", flat=True))
    Attempt.objects.filter(message_id__in=gone).delete()
    ReplayItem.objects.filter(message_id__in=gone).delete()
    Message.objects.filter(pk__in=gone).delete()


def prune_triages(*, keep: timedelta, limit: int = BATCH) -> int:
    """Forget what people did to letters that are all gone. Returns how many."""
    marks = TriageMark.objects.filter(triage=OuterRef("pk"))
    old = Triage.objects.exclude(state=TriageState.RUNNING).filter(finished_at__lt=Now() - keep)
    ids = list(old.filter(~Exists(marks)).order_by("id").values_list("pk", flat=True)[:limit])
    Triage.objects.filter(pk__in=ids).delete()
    return len(ids)


def prune_all(days: int) -> None:
    """Batch by batch until one comes back short, at most 20 batches. 0 days keeps everything."""
    if not days:
        return
    keep = timedelta(days=days)
    for _ in range(BATCHES):
        if prune_closed(keep=keep) < BATCH:
            break
    prune_triages(keep=keep)
