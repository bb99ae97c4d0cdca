"""A portal that has been in use for a month: a million messages and what comes with them, written with plain SQL.

`python -m bench.bulk [MESSAGES] [LETTERS]` fills the database of DATABASE_URL; the tests of tests/scale call fill().
Statuses, services, tenants and times are spread as in life: nearly all was sent, most by few services, the newest
last. The made-up night of `manage.py seed_demo` comes on top, so that every kind of page has something to show.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime, timedelta
from typing import Any, Final

MESSAGES: Final = 1_000_000
LETTERS: Final = 100_000
DAYS: Final = 30
CAUSES: Final = 20
AUDIT_ENTRIES: Final = 30_000
BREAKER_EVENTS: Final = 10_000
# Two weeks in steps of 10 s, as the breakers keep them.
WINDOWS: Final = 14 * 8640
# Share of the newest messages that have their attempts: older ones were pruned.
WITH_ATTEMPTS: Final = 0.2

SERVICE: Final = """CASE WHEN n % 20 < 8 THEN 'midtrans' WHEN n % 20 < 13 THEN 'smtp' WHEN n % 20 < 17 THEN 'whatsapp'
    WHEN n % 20 < 19 THEN 'billing-webhook' ELSE 'slack' END"""
TENANT: Final = "CASE WHEN n % 7 < 3 THEN 'toko-sari' WHEN n % 7 < 5 THEN 'warung-88' ELSE 'tenant-' || (n % 400) END"
# Of every so many the last one died; beside it some wait, and some were cancelled or expired.
STATUS: Final = """CASE WHEN n % {every} = 0 THEN CASE (n / {every}) % 13 WHEN 1 THEN 'SENT' ELSE 'DLQ' END
    WHEN n % 1009 = 1 THEN 'CANCELLED' WHEN n % 1009 < 4 THEN 'EXPIRED'
    WHEN n % 499 = 5 THEN 'PENDING' WHEN n % 997 = 6 THEN 'RETRYING' ELSE 'SENT' END"""

OUTBOX: Final = """
    INSERT INTO notification_outbox (service, tenant_id, recipient, subject, body_template, body_data, payload,
        content_type, ordering_key, idempotency_key, status, attempt_count, attempt_total, next_attempt_at, send_after,
        last_error, source, request_id, created_at, sent_at, settled_at)
    {series}
    SELECT service, tenant, CASE WHEN service IN ('smtp', 'slack') THEN 'customer-' || (n % 250000) || '@example.com'
            WHEN service = 'whatsapp' THEN '+62812' || (1000000 + n % 900000) ELSE '' END,
        CASE WHEN service = 'smtp' THEN 'Your order ' || n ELSE '' END,
        CASE WHEN service IN ('smtp', 'slack', 'whatsapp') THEN 'Order {{{{ order }}}} is on its way.' ELSE '' END,
        {body},
        CASE WHEN service IN ('smtp', 'slack', 'whatsapp') THEN NULL
            ELSE '{{"order_id": "A-' || n || '", "gross_amount": 120000, "currency": "IDR"}}' END,
        'application/json', CASE WHEN n % 50 = 9 THEN 'cart-' || (n % 2000) ELSE '' END, 'order-' || n, status,
        CASE status WHEN 'SENT' THEN 1 WHEN 'DLQ' THEN 5 WHEN 'RETRYING' THEN 2 ELSE 0 END,
        CASE status WHEN 'SENT' THEN 1 WHEN 'DLQ' THEN 5 WHEN 'RETRYING' THEN 2 ELSE 0 END,
        at, CASE WHEN status IN ('PENDING', 'RETRYING') THEN {later} END,
        CASE status WHEN 'DLQ' THEN service || ' answered 50' || (n % {causes}) || ' for order ' || n ELSE '' END,
        'shop-api', 'request-' || n, at,
        CASE status WHEN 'SENT' THEN at END, CASE WHEN status IN ('PENDING', 'RETRYING') THEN NULL ELSE at END
    FROM (SELECT n, {service} AS service, {tenant} AS tenant, {status} AS status, {at} AS at FROM {numbers}) made"""

CAUSE: Final = """
    INSERT INTO dead_letter_cause (fingerprint, service, error_class, status_code, message, first_seen, last_seen)
    {series} SELECT {mark}, {service}, 'http_5xx', 500 + n, 'it answered #, ' || n, {at}, {at} FROM {numbers}"""
LETTER: Final = """
    INSERT INTO dead_letter (message_id, service, tenant_id, cause, reason, status_code, error_class, error, attempts,
        ambiguous, state, died_at, resolved_at, resolved_by)
    SELECT id, service, tenant_id, {mark}, 'exhausted', 500 + n, 'http_5xx', last_error, 5, {ambiguous}, state, at,
        CASE state WHEN 'open' THEN NULL ELSE at END, CASE state WHEN 'open' THEN '' ELSE 'lead@example.com' END
    FROM (SELECT id, service, tenant_id, last_error, created_at AS at, (id / {every}) % {causes} AS n,
        CASE WHEN (id / {every}) % 13 = 0 THEN 'discarded' WHEN (id / {every}) % 13 = 1 THEN 'replayed'
            ELSE 'open' END AS state
        FROM notification_outbox WHERE id % {every} = 0) dead"""
ATTEMPT: Final = """
    INSERT INTO delivery_attempt (message_id, number, started_at, duration_ms, worker, outcome, status_code,
        error_class, error, response)
    SELECT id, {number}, created_at, 40 + id % 900, 'delivery@a-' || (1 + id % 2),
        CASE WHEN attempt_total > {number} OR status <> 'SENT' THEN 'failed' ELSE 'sent' END,
        CASE WHEN attempt_total > {number} OR status <> 'SENT' THEN 503 ELSE 200 END,
        CASE WHEN status = 'DLQ' THEN 'http_503' ELSE '' END, last_error, '{{"ok": true}}'
    FROM notification_outbox WHERE id > {newest} AND attempt_total >= {number}"""
ITEM: Final = """
    INSERT INTO replay_item (replay_id, dead_letter_id, message_id, state, released_at, settled_at)
    SELECT {replay}, id, message_id, 'sent', died_at, died_at FROM dead_letter
    WHERE state = 'replayed' AND replay_id IS NULL"""
MINUTE: Final = """
    INSERT INTO delivery_minute (service, minute, sent, failed, duration_ms, latency)
    {series} SELECT 'midtrans', {at}, 20, 1, 2000, {latency} FROM {numbers}"""
EVENT: Final = """
    INSERT INTO breaker_event (breaker_id, at, epoch, kind, actor, detail)
    {series} SELECT (SELECT id FROM breaker WHERE name = 'midtrans'), {ms}, n,
        CASE n % 3 WHEN 0 THEN 'opened' WHEN 1 THEN 'reopened' ELSE 'closed' END, '', {empty} FROM {numbers}"""
WINDOW: Final = """
    INSERT INTO breaker_history (breaker_id, at, ok, fail, timeout, slow, rejected)
    {series} SELECT breaker.id, {ms}, 20 + n % 7, CASE WHEN n % 5000 < 60 THEN 30 ELSE 1 END, n % 2, 0, 0
    FROM {numbers}, breaker WHERE breaker.name IN ('midtrans', 'smtp', 'whatsapp') ON CONFLICT DO NOTHING"""
AUDIT: Final = """
    INSERT INTO audit_entry ({columns})
    {series} SELECT {values} FROM {numbers}"""


SERIES: Final = "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {count})"


class Maker:
    """Runs the statements on whichever database is configured."""

    def __init__(self, moment: datetime) -> None:
        from django.db import connection

        self.connection = connection
        self.postgres = connection.vendor == "postgresql"
        self.start = moment - timedelta(days=DAYS)

    def run(self, statement: str, count: int = 1, **parts: Any) -> None:
        """``{numbers}`` in ``statement`` is the numbers from 1 to ``count`` as n, ``{at}`` their times."""
        series = "" if self.postgres else SERIES.format(count=count)
        numbers = f"generate_series(1, {count}) AS n" if self.postgres else "series"
        known = {"series": series, "numbers": numbers, "at": self.at(count), "causes": CAUSES, **parts}
        with self.connection.cursor() as cursor:
            cursor.execute(statement.format(**known).replace("%", "%%"), [])

    def at(self, count: int) -> str:
        """The time of number n of ``count``: evenly over the days."""
        step = DAYS * 86_400 / count
        if self.postgres:
            return f"(timestamptz '{self.start.isoformat()}' + n * interval '{step} seconds')"
        return f"strftime('%Y-%m-%d %H:%M:%f', {self.start.timestamp()} + n * {step}, 'unixepoch')"

    def json(self, text: str) -> str:
        return f"'{text}'::jsonb" if self.postgres else f"'{text}'"

    @property
    def false(self) -> str:
        return "false" if self.postgres else "0"


def fill(moment: datetime, messages: int = MESSAGES, letters: int = LETTERS) -> None:
    """Into an empty, migrated database. A minute on PostgreSQL at most."""
    from apps.console.demo.services import make_services
    from apps.console.management.commands.seed_demo import seed

    maker, every = Maker(moment), messages // letters
    make_services()
    maker.run(
        OUTBOX,
        messages,
        service=SERVICE,
        tenant=TENANT,
        status=STATUS.format(every=every),
        body=maker.json('{"order": "A-1", "customer": "made up"}'),
        later="at + interval '60 days'" if maker.postgres else "strftime('%Y-%m-%d %H:%M:%f', at, '+60 days')",
    )
    _deaths(maker, every)
    newest = messages - int(messages * WITH_ATTEMPTS)
    for number in (1, 2, 3, 4, 5):
        maker.run(ATTEMPT, number=number, newest=newest)
    _history(maker)
    seed(moment)
    _replayed(maker)
    _settle_down(maker)


def _deaths(maker: Maker, every: int) -> None:
    mark = "'bulk' || (100000000000 + {})"
    maker.run(CAUSE, CAUSES, mark=mark.format("(n - 1)"), service=SERVICE)
    maker.run(LETTER, every=every, mark=mark.format("n"), ambiguous=maker.false)


def _history(maker: Maker) -> None:
    zeros = maker.json("[]")
    maker.run(MINUTE, DAYS * 1440, latency=zeros)
    hashed = "md5(n::text) || md5((-n)::text)" if maker.postgres else "printf('%064d', n)"
    values = {
        "at": maker.at(AUDIT_ENTRIES),
        "actor_kind": "'person'",
        "actor": "'person-' || (n % 40) || '@example.com'",
        "ip": "'10.0.0.1'",
        "action": "CASE n % 2 WHEN 0 THEN 'message.revealed' ELSE 'deadletters.discarded' END",
        "target": "'message ' || n",
        "reason": "'ticket ' || n",
        "request_id": "'request-' || n",
        "previous_hash": "''",
        "hash": hashed,
    }
    maker.run(AUDIT, AUDIT_ENTRIES, columns=", ".join(values), values=", ".join(values.values()))


def _replayed(maker: Maker) -> None:
    """What was replayed belongs to the seeded replay; the seeded breakers have a long history."""
    from apps.outbox.models import DeadLetter, Replay

    replay = Replay.objects.get()
    maker.run(ITEM, replay=replay.pk)
    DeadLetter.objects.filter(state="replayed", replay_id=None).update(replay_id=replay.pk)
    first, step = int(maker.start.timestamp() * 1000), DAYS * 86_400_000 // BREAKER_EVENTS
    maker.run(EVENT, BREAKER_EVENTS, ms=f"{first} + CAST(n AS bigint) * {step}", empty=maker.json("{}"))
    last = int((maker.start + timedelta(days=DAYS)).timestamp() // 10 * 10_000)
    maker.run(WINDOW, WINDOWS, ms=f"{last} - CAST(n AS bigint) * 10000")


def _settle_down(maker: Maker) -> None:
    """Statistics as autovacuum leaves them."""
    with maker.connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if maker.postgres else "ANALYZE")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsportal.settings")
    import django
    from django.utils import timezone

    django.setup()
    fill(timezone.now(), *map(int, sys.argv[1:]))
