"""Sweeps: what must happen even if every signal and nudge is lost. Each engine runs them, and the
control queue too, so that no single process is needed for them. All are safe to run side by side.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models.functions import Now
from redis.exceptions import RedisError

from apps.outbox import metrics
from apps.outbox.delivery.claim import Claimed, dialect
from apps.outbox.delivery.minutes import count_expired
from apps.outbox.delivery.outcome import Report, Settlement, judge
from apps.outbox.delivery.settle import settle
from apps.outbox.models import WAITING, Attempt, AttemptOutcome, Message, MessageStatus
from apps.services.models import Service

log = structlog.get_logger(__name__)

BATCH: Final = 500
PRUNE_BATCHES: Final = 50
PRUNED_TO: Final = "outbox.pruned_to"
PRUNED_TO_S: Final = 3600
LOST_TEXT: Final = (
    "The worker {worker} did not report back before its lease ended at {lease}: it was killed or cut off. "
    "The provider may have received this message."
)
ORPHANS: Final = """
    UPDATE notification_outbox SET held = FALSE WHERE id IN (
        SELECT o.id FROM notification_outbox o
        WHERE NOT (o.ordering_key = '') AND o.status IN ('PENDING', 'RETRYING', 'SENDING') AND o.held
          AND NOT EXISTS (SELECT 1 FROM notification_outbox e
              WHERE e.service = o.service AND e.ordering_key = o.ordering_key AND NOT (e.ordering_key = '')
                AND e.status IN ('PENDING', 'RETRYING', 'SENDING') AND e.id < o.id))"""


def rescue_lost(rng: random.Random) -> int:
    """Take back messages whose lease has ended; each counts as an attempt, so a message that kills
    its worker every time ends as a dead letter. Returns how many were taken back.
    """
    with transaction.atomic():
        lost = _lost_rows()
        if not lost:
            return 0
        services = Service.objects.in_bulk({service for service, _, _, _ in lost})
        batch = [_lost_settlement(services[row[0]], row, rng) for row in lost]
        settle(batch, worker="rescue")
    for service, row, worker, _ in lost:
        metrics.RESCUED.labels(service).inc()
        log.warning("delivery.rescued", message_id=row.id, service=service, worker=worker)
    return len(lost)


def _lost_rows() -> list[tuple[str, Claimed, str, Any]]:
    sql = dialect()
    lock = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT service, claimed_by, lease_until, {sql.columns} FROM notification_outbox
                WHERE status = 'SENDING' AND lease_until < {sql.now} ORDER BY lease_until LIMIT %s {lock}""",
            [BATCH],
        )
        return [(row[0], Claimed(*row[3:]), row[1], row[2]) for row in cursor.fetchall()]


def _lost_settlement(service: Service, found: tuple[str, Claimed, str, Any], rng: random.Random) -> Settlement:
    _, row, worker, lease = found
    report = Report(
        row,
        service.name,
        datetime.now(UTC),
        0.0,
        AttemptOutcome.LOST,
        error_class="worker_lost",
        error=LOST_TEXT.format(worker=worker, lease=lease),
    )
    head = service.ordering_policy.waiting_head == "dead_letter"
    return Settlement(report, judge(report, service.retry_policy, dead_letter_waiting_head=head, rng=rng))


def expire_overdue() -> int:
    """Mark waiting messages whose ``expires_at`` has come EXPIRED, and count them. Returns how many."""
    with transaction.atomic():
        overdue = Message.objects.filter(status__in=WAITING, expires_at__lte=Now()).order_by("expires_at")
        rows = list(
            overdue.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked).values_list(
                "id", "service_id", "ordering_key"
            )[:BATCH]
        )
        if not rows:
            return 0
        Message.objects.filter(id__in=[row[0] for row in rows]).update(
            status=MessageStatus.EXPIRED, settled_at=Now(), held=False
        )
        services = [service for _, service, _ in rows]
        count_expired(services)
    for service in services:
        metrics.EXPIRED.labels(service).inc()
    return len(rows)


def release_orphans() -> int:
    """Let go held messages before which nothing of their key stands any more.

    Settling does this at once; a claim that held a follower in the very moment its head left does not
    see it, and this sweep does. Returns how many were let go.
    """
    with connection.cursor() as cursor:
        cursor.execute(ORPHANS)
        return int(cursor.rowcount)


def prune(*, keep_sent: timedelta, limit: int = 1000, batches: int = PRUNE_BATCHES) -> int:
    """Delete delivered messages older than ``keep_sent`` with their attempts; looks at ``limit`` at a time, at most
    ``batches`` times. Returns how many went.

    It goes on where the last call left off, so that old messages that must stay, dead ones above all, are not in the
    way. When it comes to younger ones it begins anew: what could not go then may have ended since.
    """
    reached, gone = _reached(), 0
    for _ in range(batches):
        deleted, reached = _prune_some(datetime.now(UTC) - keep_sent, reached, limit)
        gone += deleted
        if not reached:
            break
    _remember(reached)
    return gone


def _prune_some(horizon: datetime, after: int, limit: int) -> tuple[int, int]:
    """One batch behind message ``after``: how many went, and how far it got; 0 when the rest is younger."""
    done = (MessageStatus.SENT, MessageStatus.CANCELLED, MessageStatus.EXPIRED)
    with transaction.atomic():
        # The oldest ids are the oldest rows, so the primary key finds them without an index on time.
        behind = Message.objects.filter(id__gt=after).order_by("id")
        rows = list(behind.values_list("id", "status", "created_at")[:limit])
        ids = [pk for pk, status, at in rows if status in done and at < horizon]
        if ids:
            _delete_with_attempts(ids)
    more = len(rows) == limit and rows[-1][2] < horizon
    return len(ids), rows[-1][0] if more else 0


def _reached() -> int:
    """Without a cache it begins with the oldest each time."""
    try:
        return int(cache.get(PRUNED_TO, 0))
    except (RedisError, OSError) as error:
        log.debug("cache.away", error=str(error))
        return 0


def _remember(reached: int) -> None:
    try:
        cache.set(PRUNED_TO, reached, PRUNED_TO_S)
    except (RedisError, OSError) as error:
        log.debug("cache.away", error=str(error))


def _delete_with_attempts(ids: Sequence[int]) -> None:
    Attempt.objects.filter(message_id__in=ids).delete()
    Message.objects.filter(id__in=ids).delete()


def run_all() -> None:
    """Every sweep once, with randomness of its own."""
    rng = random.SystemRandom()
    rescue_lost(rng)
    expire_overdue()
    release_orphans()


def prune_all() -> None:
    """What a minute's tick prunes."""
    prune(keep_sent=timedelta(days=30))
