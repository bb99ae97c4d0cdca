"""Claiming: take due messages under a lease, fairly, within the limits all workers share.

One claim is one transaction on one service. It locks the service's row of ``delivery_lane``, so claims
of a service never race each other: in-flight limit, rate limit, tenant rotation and the order of an
ordering_key hold over all workers. A worker that finds the lane locked goes on to the next service.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db import connection, transaction

from apps.outbox.delivery import fairness

MAX_TENANTS: Final = 64
LIVE_SQL: Final = "status IN ('PENDING', 'RETRYING') AND NOT held"


class Claimed(NamedTuple):
    """A claimed row, as the engine needs it. ``body_data`` and ``headers`` are JSON text or None."""

    id: int
    uid: Any
    tenant_id: str
    recipient: str
    subject: str
    body_template: str
    body_data: str | None
    template: str
    template_version: int | None
    json: str | None
    payload: str | None
    content_type: str
    headers: str | None
    attempt_count: int
    attempt_total: int
    max_attempts: int | None
    ordering_key: str
    idempotency_key: str
    request_id: str
    traceparent: str
    replay_id: int | None
    claim_id: Any
    template_id: int | None


@dataclass(frozen=True, slots=True)
class Want:
    """What a worker asks for: at most ``slots`` messages of ``service``, leased for ``lease_s`` seconds.

    ``in_flight`` is what it has claimed itself and not settled yet.
    """

    service: str
    slots: int
    lease_s: float
    max_in_flight: int
    max_per_second: float | None
    in_flight: int = 0
    skip_waiting_head: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim got. ``wait_s`` says when asking again can help; None means as soon as there is work."""

    rows: list[Claimed]
    more: bool = False
    wait_s: float | None = None


COLUMNS: Final = """id, uid, tenant_id, recipient, subject, body_template,
    CASE WHEN body_template <> '' OR template <> '' THEN {json_text} END AS data, template, template_version,
    json, payload, content_type, CASE WHEN {headers_text} <> '{{}}' THEN {headers_text} END AS extra,
    attempt_count, attempt_total, max_attempts, ordering_key, idempotency_key, request_id, traceparent,
    replay_id, claim_id, template_id"""


class PostgresDialect:
    """Statements for PostgreSQL: one round trip claims for many tenants and priorities."""

    now = "statement_timestamp()"
    lock_lane = """
        SELECT l.tokens, l.refilled_at, l.slowed_until, l.tenant_cursor, statement_timestamp(),
            s.paused_at IS NOT NULL
        FROM delivery_lane l JOIN service s ON s.name = l.service
        WHERE l.service = %s FOR NO KEY UPDATE OF l SKIP LOCKED"""
    columns = COLUMNS.format(json_text="body_data::text", headers_text="headers::text")
    # "Head first": a message goes only when none of its key is on its way or stands before it.
    claim = f"""
        WITH share AS (SELECT * FROM unnest(%(tenants)s::text[], %(quotas)s::int[]) AS s(tenant, quota)),
        picked AS MATERIALIZED (
            SELECT c.id, c.ordering_key FROM share, LATERAL (
                SELECT p.id, p.ordering_key FROM generate_series(0, 9) AS r(rank), LATERAL (
                    SELECT id, ordering_key FROM notification_outbox
                    WHERE {LIVE_SQL} AND service = %(service)s AND tenant_id = share.tenant
                      AND (9 - priority) = r.rank AND due_at <= statement_timestamp()
                      AND (expires_at IS NULL OR expires_at > statement_timestamp())
                    ORDER BY due_at, id LIMIT share.quota FOR UPDATE SKIP LOCKED) p
                LIMIT share.quota) c),
        behind AS (
            SELECT p.id FROM picked p WHERE p.ordering_key <> '' AND EXISTS (
                SELECT 1 FROM notification_outbox e
                WHERE e.service = %(service)s AND e.ordering_key = p.ordering_key AND NOT (e.ordering_key = '')
                  AND e.status IN ('PENDING', 'RETRYING', 'SENDING') AND e.id <> p.id
                  AND (e.status = 'SENDING' OR (e.id < p.id AND NOT (
                       %(skip)s AND e.status = 'RETRYING' AND e.due_at > statement_timestamp()))))),
        held AS (UPDATE notification_outbox SET held = TRUE WHERE id IN (SELECT id FROM behind) RETURNING id),
        taken AS (
            UPDATE notification_outbox SET status = 'SENDING', claim_id = %(claim)s, claimed_by = %(worker)s,
                lease_until = statement_timestamp() + %(lease)s * interval '1 second'
            WHERE id IN (SELECT id FROM picked EXCEPT SELECT id FROM behind)
            RETURNING {columns})
        SELECT (SELECT count(*) FROM held), taken.* FROM (SELECT 1) one LEFT JOIN taken ON TRUE"""

    @staticmethod
    def run(cursor: Any, want: Want, split: Sequence[tuple[str, int]], worker: str) -> tuple[list[Claimed], int]:
        """Claim ``split`` = (tenant, quota) pairs; also returns how many were put behind their head."""
        cursor.execute(
            PostgresDialect.claim,
            {
                "service": want.service,
                "tenants": [tenant for tenant, _ in split],
                "quotas": [quota for _, quota in split],
                "skip": want.skip_waiting_head,
                "claim": uuid.uuid4(),
                "worker": worker,
                "lease": want.lease_s,
            },
        )
        found = cursor.fetchall()
        return [Claimed(*row[1:]) for row in found if row[1] is not None], found[0][0]


class SqliteDialect:
    """Statements for SQLite: the whole claim runs inside one IMMEDIATE transaction, so plain steps do."""

    now = "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')"
    lock_lane = """
        SELECT l.tokens, l.refilled_at, l.slowed_until, l.tenant_cursor, STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW'),
            s.paused_at IS NOT NULL
        FROM delivery_lane l JOIN service s ON s.name = l.service
        WHERE l.service = %s"""
    columns = COLUMNS.format(json_text="body_data", headers_text="headers")
    pick = f"""
        SELECT id, ordering_key FROM notification_outbox
        WHERE {LIVE_SQL} AND service = %s AND tenant_id = %s AND (9 - priority) = %s AND due_at <= {now}
          AND (expires_at IS NULL OR expires_at > {now})
        ORDER BY due_at, id LIMIT %s"""
    behind = f"""
        SELECT 1 FROM notification_outbox e
        WHERE e.service = %s AND e.ordering_key = %s AND NOT (e.ordering_key = '')
          AND e.status IN ('PENDING', 'RETRYING', 'SENDING') AND e.id <> %s
          AND (e.status = 'SENDING' OR (e.id < %s AND NOT (
               %s AND e.status = 'RETRYING' AND e.due_at > {now}))) LIMIT 1"""
    take = f"""
        UPDATE notification_outbox SET status = 'SENDING', claim_id = %s, claimed_by = %s,
            lease_until = STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', %s)
        WHERE id IN (SELECT value FROM json_each(%s)) RETURNING {columns}"""

    @classmethod
    def run(cls, cursor: Any, want: Want, split: Sequence[tuple[str, int]], worker: str) -> tuple[list[Claimed], int]:
        """As :meth:`PostgresDialect.run`."""
        heads: list[int] = []
        behind: list[int] = []
        for tenant, quota in split:
            for message_id, key in cls._picked(cursor, want.service, tenant, quota):
                is_behind = key and (cls._is_behind(cursor, want, key, message_id))
                (behind if is_behind else heads).append(message_id)
        if behind:
            cursor.execute(
                "UPDATE notification_outbox SET held = TRUE WHERE id IN (SELECT value FROM json_each(%s))",
                [_json(behind)],
            )
        if not heads:
            return [], len(behind)
        cursor.execute(cls.take, [uuid.uuid4().hex, worker, f"+{want.lease_s:.3f} seconds", _json(heads)])
        return [Claimed(*row) for row in cursor.fetchall()], len(behind)

    @classmethod
    def _picked(cls, cursor: Any, service: str, tenant: str, quota: int) -> list[tuple[int, str]]:
        picked: list[tuple[int, str]] = []
        for rank in range(10):
            cursor.execute(cls.pick, [service, tenant, rank, quota - len(picked)])
            picked += cursor.fetchall()
            if len(picked) >= quota:
                break
        return picked

    @classmethod
    def _is_behind(cls, cursor: Any, want: Want, key: str, message_id: int) -> bool:
        cursor.execute(cls.behind, [want.service, key, message_id, message_id, want.skip_waiting_head])
        return cursor.fetchone() is not None


def _json(ids: Sequence[int]) -> str:
    return "[" + ",".join(map(str, ids)) + "]"


Dialect = PostgresDialect | SqliteDialect


def dialect() -> Dialect:
    """The statements of the database in use."""
    return PostgresDialect() if connection.vendor == "postgresql" else SqliteDialect()


TENANTS_FROM_START: Final = f"""
    WITH RECURSIVE t(tenant_id) AS (
        SELECT (SELECT MIN(tenant_id) FROM notification_outbox WHERE {LIVE_SQL} AND service = %(service)s
                AND tenant_id >= %(start)s)
        UNION ALL
        SELECT (SELECT MIN(o.tenant_id) FROM notification_outbox o WHERE o.status IN ('PENDING', 'RETRYING')
                AND NOT o.held AND o.service = %(service)s AND o.tenant_id > t.tenant_id)
        FROM t WHERE t.tenant_id IS NOT NULL)
    SELECT tenant_id FROM t WHERE tenant_id IS NOT NULL LIMIT %(limit)s"""


def claim(want: Want, worker: str) -> Claim:
    """Claim up to ``want.slots`` due messages of one service for ``worker``, in one transaction."""
    sql = dialect()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.lock_lane, [want.service])
        lane = cursor.fetchone()
        if lane is None:
            # Another worker is claiming, for a few milliseconds.
            return Claim([], wait_s=random.uniform(0.001, 0.005))  # noqa: S311  # spreads, guards nothing
        return _claim_locked(cursor, sql, want, worker, lane)


def _claim_locked(cursor: Any, sql: Dialect, want: Want, worker: str, lane: Sequence[Any]) -> Claim:
    tokens, refilled_at, slowed_until, tenant_cursor, now, paused = lane
    if paused:
        return Claim([], wait_s=1.0)
    now, refilled_at = _as_time(now), _as_time(refilled_at)
    if slowed_until is not None and (slow_s := (_as_time(slowed_until) - now).total_seconds()) > 0:
        return Claim([], wait_s=min(slow_s, 1.0))
    slots = min(want.slots, want.max_in_flight - want.in_flight - _in_flight_elsewhere(cursor, want, worker))
    if want.max_per_second is not None:
        burst = max(1.0, want.max_per_second)
        tokens = fairness.refill(tokens, (now - refilled_at).total_seconds(), want.max_per_second, burst)
        slots = min(slots, int(tokens))
        if slots <= 0:
            return Claim([], wait_s=min(1.0, (1 - min(tokens, 1.0)) / want.max_per_second + 0.001))
    if slots <= 0:
        return Claim([], wait_s=0.02)
    tenants = _tenants(cursor, want.service, tenant_cursor)
    split = fairness.shares(tenants, slots)
    if not split:
        return Claim([])
    rows, held = sql.run(cursor, want, split, worker)
    _keep_lane(cursor, sql, want, tokens - len(rows), split[-1][0] if len(tenants) > 1 else "", tenant_cursor)
    return Claim(rows, more=held > 0 or len(rows) >= slots or (bool(rows) and len(split) > 1))


def _in_flight_elsewhere(cursor: Any, want: Want, worker: str) -> int:
    cursor.execute(
        """SELECT count(*) FROM (SELECT 1 FROM notification_outbox
           WHERE status = 'SENDING' AND service = %s AND lease_until > '1970-01-01' AND claimed_by <> %s LIMIT %s) x""",
        [want.service, worker, want.max_in_flight],
    )
    return int(cursor.fetchone()[0])


def _tenants(cursor: Any, service: str, tenant_cursor: str) -> list[str]:
    """Up to MAX_TENANTS tenants with work, beginning after the one served last."""
    from_start = _tenants_from(cursor, service, "", MAX_TENANTS + 1)
    if len(from_start) <= MAX_TENANTS:
        return fairness.after(sorted(from_start), tenant_cursor)
    later = _tenants_from(cursor, service, tenant_cursor + "\x01", MAX_TENANTS)
    return (later + [tenant for tenant in from_start if tenant not in later])[:MAX_TENANTS]


def _tenants_from(cursor: Any, service: str, start: str, limit: int) -> list[str]:
    cursor.execute(TENANTS_FROM_START, {"service": service, "start": start, "limit": limit})
    return [row[0] for row in cursor.fetchall()]


def _keep_lane(cursor: Any, sql: Dialect, want: Want, tokens: float, last_tenant: str, known: str) -> None:
    if want.max_per_second is not None:
        cursor.execute(
            f"UPDATE delivery_lane SET tokens = %s, refilled_at = {sql.now}, tenant_cursor = %s WHERE service = %s",
            [tokens, last_tenant, want.service],
        )
    elif last_tenant != known:
        cursor.execute("UPDATE delivery_lane SET tenant_cursor = %s WHERE service = %s", [last_tenant, want.service])


def _as_time(value: Any) -> datetime:
    """SQLite hands times over as text."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
