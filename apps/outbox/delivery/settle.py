"""Settling: write down what came of a batch of attempts, in one transaction.

Every completion is fenced by the claim's id: a worker whose lease was taken away changes nothing, and
its attempt is kept, marked stale. One statement per table and batch, on either database.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from django.db import connection, transaction

from apps.outbox import metrics
from apps.outbox.delivery.burial import bury
from apps.outbox.delivery.minutes import count_minutes
from apps.outbox.delivery.outcome import Report, Settlement
from apps.outbox.models import Attempt, AttemptOutcome, DeliveryLane, MessageStatus
from apps.outbox.signals import message_died

SENT_POSTGRES: Final = """
    UPDATE notification_outbox m SET status = 'SENT', attempt_count = r.attempts,
        attempt_total = attempt_total + 1, sent_at = statement_timestamp(), settled_at = statement_timestamp(),
        claim_id = NULL, lease_until = NULL, last_error = ''
    FROM unnest(%s::bigint[], %s::uuid[], %s::int[]) AS r(id, claim, attempts)
    WHERE m.id = r.id AND m.claim_id = r.claim AND m.status = 'SENDING' RETURNING m.id"""
OTHER_POSTGRES: Final = """
    UPDATE notification_outbox m SET status = r.status, attempt_count = r.attempts,
        attempt_total = attempt_total + 1, claim_id = NULL, lease_until = NULL, last_error = r.error,
        next_attempt_at = statement_timestamp() + r.delay * interval '1 second',
        settled_at = CASE WHEN r.status = 'DLQ' THEN statement_timestamp() END
    FROM unnest(%s::bigint[], %s::uuid[], %s::int[], %s::text[], %s::float8[], %s::text[])
        AS r(id, claim, attempts, status, delay, error)
    WHERE m.id = r.id AND m.claim_id = r.claim AND m.status = 'SENDING' RETURNING m.id"""
NOW_SQLITE: Final = "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')"
SENT_SQLITE: Final = f"""
    WITH r AS (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS claim,
                      json_extract(value, '$[2]') AS attempts FROM json_each(%s))
    UPDATE notification_outbox AS m SET status = 'SENT', attempt_count = r.attempts,
        attempt_total = attempt_total + 1, sent_at = {NOW_SQLITE}, settled_at = {NOW_SQLITE},
        claim_id = NULL, lease_until = NULL, last_error = ''
    FROM r WHERE m.id = r.id AND m.claim_id = r.claim AND m.status = 'SENDING' RETURNING id"""
OTHER_SQLITE: Final = f"""
    WITH r AS (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS claim,
                      json_extract(value, '$[2]') AS attempts, json_extract(value, '$[3]') AS status,
                      json_extract(value, '$[4]') AS delay, json_extract(value, '$[5]') AS error
               FROM json_each(%s))
    UPDATE notification_outbox AS m SET status = r.status, attempt_count = r.attempts,
        attempt_total = attempt_total + 1, claim_id = NULL, lease_until = NULL, last_error = r.error,
        next_attempt_at = STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', r.delay || ' seconds'),
        settled_at = CASE WHEN r.status = 'DLQ' THEN {NOW_SQLITE} END
    FROM r WHERE m.id = r.id AND m.claim_id = r.claim AND m.status = 'SENDING' RETURNING id"""
# Followers of a key go on once its head has left: the lowest held one is let go, and claiming
# holds it again if something of its key still stands before it.
RELEASE: Final = """
    UPDATE notification_outbox SET held = FALSE WHERE id IN (
        SELECT MIN(id) FROM notification_outbox
        WHERE service = %s AND ordering_key = %s AND NOT (ordering_key = '') AND held
          AND status IN ('PENDING', 'RETRYING', 'SENDING'))"""


@dataclass(slots=True)
class Settled:
    """What a batch changed: letters that died, by service, and services that asked for a pause."""

    stale: int = 0
    died: dict[str, list[int]] = field(default_factory=dict)


def settle(batch: Sequence[Settlement], worker: str) -> Settled:
    """Write a batch: statuses, attempts, dead letters, followers, slow-downs and counters, atomically."""
    if not batch:
        return Settled()
    with transaction.atomic():
        live = _update_messages(batch)
        fresh = [item for item in batch if item.report.row.id in live]
        _insert_attempts(batch, live, worker)
        settled = Settled(stale=len(batch) - len(fresh))
        settled.died.update(bury(fresh))
        _release_followers(fresh)
        _slow_down(fresh)
        count_minutes(fresh)
        transaction.on_commit(partial(_tell, fresh, settled))
    return settled


def _update_messages(batch: Sequence[Settlement]) -> set[int]:
    """Returns the ids that were still ours to settle."""
    sent = [item for item in batch if item.verdict.status is MessageStatus.SENT]
    other = [item for item in batch if item.verdict.status is not MessageStatus.SENT]
    live: set[int] = set()
    with connection.cursor() as cursor:
        for items, width, postgres, sqlite in (
            (sent, 3, SENT_POSTGRES, SENT_SQLITE),
            (other, 6, OTHER_POSTGRES, OTHER_SQLITE),
        ):
            if not items:
                continue
            rows = [_row_of(item)[:width] for item in items]
            if connection.vendor == "postgresql":
                cursor.execute(postgres, [list(column) for column in zip(*rows, strict=True)])
            else:
                cursor.execute(sqlite, [json.dumps(rows)])
            live.update(row[0] for row in cursor.fetchall())
    return live


def _row_of(item: Settlement) -> tuple[Any, ...]:
    verdict, row = item.verdict, item.report.row
    claim = row.claim_id if connection.vendor == "postgresql" else str(row.claim_id).replace("-", "")
    return row.id, claim, verdict.attempt_count, str(verdict.status), round(verdict.delay_s, 3), item.report.error


def _insert_attempts(batch: Sequence[Settlement], live: set[int], worker: str) -> None:
    rows = [_attempt_of(item, item.report.row.id in live, worker) for item in batch]
    if connection.vendor != "postgresql":
        Attempt.objects.bulk_create([Attempt(**dict(zip(ATTEMPT_COLUMNS, row, strict=True))) for row in rows])
        return
    with connection.cursor() as cursor, cursor.copy(COPY_ATTEMPTS) as copy:
        for row in rows:
            copy.write_row(row)


ATTEMPT_COLUMNS: Final = (
    "message_id",
    "number",
    "started_at",
    "duration_ms",
    "worker",
    "outcome",
    "status_code",
    "error_class",
    "error",
    "response",
    "replay_id",
)
COPY_ATTEMPTS: Final = f"COPY delivery_attempt ({', '.join(ATTEMPT_COLUMNS)}) FROM STDIN"


def _attempt_of(item: Settlement, live: bool, worker: str) -> tuple[Any, ...]:
    report = item.report
    return (
        report.row.id,
        report.row.attempt_total + 1,
        report.started_at,
        round(report.seconds * 1000),
        worker,
        str(report.outcome if live else AttemptOutcome.STALE),
        report.status_code,
        report.error_class,
        report.error if live else _stale_text(report),
        report.response,
        report.row.replay_id,
    )


def _stale_text(report: Report) -> str:
    return f"reported {report.outcome} after its lease had been taken by another worker. {report.error}".strip()


def _release_followers(fresh: Iterable[Settlement]) -> None:
    keys = {(item.report.service, item.report.row.ordering_key) for item in fresh if item.report.row.ordering_key}
    if not keys:
        return
    with connection.cursor() as cursor:
        cursor.executemany(RELEASE, sorted(keys))


def _slow_down(fresh: Iterable[Settlement]) -> None:
    """What a provider asked for with Retry-After holds for all workers."""
    longest: dict[str, tuple[float, str]] = {}
    for item in fresh:
        seconds = item.report.retry_after or 0.0
        if seconds > longest.get(item.report.service, (0.0, ""))[0]:
            longest[item.report.service] = (seconds, item.report.error)
    for service, (seconds, error) in sorted(longest.items()):
        slow_down(service, seconds, error)


def slow_down(service: str, seconds: float, error: str) -> None:
    """Claim nothing of ``service`` for ``seconds`` from now on the database's clock."""
    sql = """UPDATE delivery_lane SET slowed_until = statement_timestamp() + %s * interval '1 second', slowed_by = %s
             WHERE service = %s AND (slowed_until IS NULL
                OR slowed_until < statement_timestamp() + %s * interval '1 second')"""
    parameters: list[Any] = [seconds, error, service, seconds]
    if connection.vendor != "postgresql":
        until = "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', %s)"
        sql = f"""UPDATE delivery_lane SET slowed_until = {until}, slowed_by = %s
                  WHERE service = %s AND (slowed_until IS NULL OR slowed_until < {until})"""
        parameters = [f"+{seconds:.3f} seconds", error, service, f"+{seconds:.3f} seconds"]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def _tell(fresh: Sequence[Settlement], settled: Settled) -> None:
    """After the commit: metrics and news. Never before, or a rolled back batch would be counted twice."""
    outcomes = Counter((item.report.service, str(item.report.outcome)) for item in fresh)
    for (service, outcome), number in outcomes.items():
        metrics.DELIVERIES.labels(service, outcome).inc(number)
    for service in {item.report.service for item in fresh}:
        seconds = sum(item.report.seconds for item in fresh if item.report.service == service)
        metrics.DELIVERY_SECONDS.labels(service).inc(seconds)
    deaths = Counter((i.report.service, str(i.verdict.reason)) for i in fresh if i.verdict.reason is not None)
    for (service, reason), number in deaths.items():
        metrics.DEAD_LETTERS.labels(service, reason).inc(number)
    for service, letters in settled.died.items():
        message_died.send(sender=DeliveryLane, service=service, dead_letter_ids=letters)
