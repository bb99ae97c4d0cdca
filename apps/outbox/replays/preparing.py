"""Taking letters into a large replay: batch by batch in the control queue, because a request must not wait for it.

A batch is one transaction that holds the replay's row, and ``reached`` says up to which message it got. So one that
is cut off anywhere did not happen, and the next goes on behind the last that did. Letters that a replay under
preparation has not reached yet are as good as taken: who plans or makes another one is told so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet, Value
from django.db.models.functions import Now

from apps.outbox.deadletters.selection import Selection
from apps.outbox.models import DeadLetter, Replay, ReplayItem, ReplayState
from apps.outbox.replays.planning import NOT_TAKEN, eligible_letters, without_services

log = structlog.get_logger(__name__)

BATCH: Final = 5000
# What a tick spends on it at most; replays that are under way had their turn before.
TICK_S: Final = 1.5
# One number for "making a replay" among PostgreSQL's advisory locks ("opreplay" in ASCII).
MAKING_LOCK: Final = 0x6F707265706C6179


def one_at_a_time() -> None:
    """Until the transaction ends nobody else makes a replay: who comes second sees what the first has chosen.
    SQLite has one writer at a time anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [MAKING_LOCK])


def insert_items(replay: Replay, letters: QuerySet[DeadLetter]) -> int:
    """One statement, in the order of the messages. A letter that another replay has is left out by the unique index
    ``replay_item_active_once``. Returns how many went in.
    """
    rows = letters.order_by("message_id").annotate(replay=Value(replay.pk))
    sql, parameters = rows.values_list("replay", "pk", F("message_id")).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO replay_item (replay_id, dead_letter_id, message_id) {sql} ON CONFLICT DO NOTHING",
            parameters,
        )
        return int(cursor.rowcount)


def services_of(replay: Replay) -> list[str]:
    """The services its letters go to."""
    return sorted(replay.items.order_by().values_list("dead_letter__service", flat=True).distinct())


def prepare_all(seconds: float = TICK_S) -> int:
    """Go on with what is under preparation, a batch of each in turn. Returns how many batches were done."""
    ends, done = time.monotonic() + seconds, 0
    todo = list(_under_preparation().order_by("id").values_list("id", flat=True))
    while todo and time.monotonic() < ends:
        todo = [replay_id for replay_id in todo if _prepare_safely(replay_id)]
        done += len(todo)
    return done


def _under_preparation() -> QuerySet[Replay]:
    return Replay.objects.filter(state=ReplayState.PREPARING)


def _prepare_safely(replay_id: int) -> bool:
    try:
        return prepare(replay_id)
    except DatabaseError:  # one must not hold up the others; the next tick tries it again
        log.exception("replay.prepare_failed", replay_id=replay_id)
        return False


@transaction.atomic
def prepare(replay_id: int) -> bool:
    """One batch. False when all are in, when it was cancelled, or another process is at it."""
    skip = connection.features.has_select_for_update_skip_locked
    replay = _under_preparation().select_for_update(skip_locked=skip).filter(pk=replay_id).first()
    if replay is None:
        return False
    letters = eligible_letters(Selection.parse(without_services(replay.selection)), own_replay=replay.pk)
    # What another replay gave back meanwhile was said to be left out.
    given_back = ReplayItem.objects.filter(dead_letter=OuterRef("pk"), settled_at__gte=replay.created_at)
    ahead = letters.filter(~Exists(given_back), message_id__gt=replay.reached)
    last = ahead.order_by("message_id").values_list("message_id", flat=True)[BATCH - 1 : BATCH].first()
    replay.prepared += insert_items(replay, ahead if last is None else ahead.filter(message_id__lte=last))
    if last is None:
        _begin(replay)
    else:
        replay.reached = last
    replay.save()
    return last is not None


def _begin(replay: Replay) -> None:
    """All are in. What was closed, taken or revived since it was asked for is left out."""
    missing = replay.total - replay.prepared
    if missing > 0:
        replay.left_out = replay.left_out | {NOT_TAKEN: replay.left_out.get(NOT_TAKEN, 0) + missing}
        replay.note = note_of(replay.left_out)
    replay.total = replay.prepared
    replay.selection = replay.selection | {"services": services_of(replay)}
    replay.state = ReplayState.CANARY if replay.canary else ReplayState.RUNNING
    if not replay.total:
        replay.state, replay.finished_at = ReplayState.DONE, Now()
    log.info("replay.prepared", replay_id=replay.pk, letters=replay.total, left_out=replay.left_out)


def note_of(left_out: Mapping[str, int]) -> str:
    return "Left out: " + ", ".join(f"{count} {reason}" for reason, count in left_out.items()) + "."
