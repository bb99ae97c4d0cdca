"""Deliveries per service and minute: exact counters, so that no page has to count rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection

from apps.outbox.delivery.outcome import Settlement
from apps.outbox.models import AttemptOutcome, DeliveryMinute, MessageStatus
from apps.outbox.stats import add_histograms, bucket_of, empty_histogram

MINUTE_COUNTERS: Final = ("sent", "failed", "timed_out", "slowed", "died", "expired", "duration_ms")


def count_minutes(fresh: Sequence[Settlement]) -> None:
    """Add a settled batch to the counters of its minute."""
    minute = this_minute()
    rows: dict[str, DeliveryMinute] = {}
    for item in fresh:
        service = item.report.service
        _add(rows.setdefault(service, empty_minute(service, minute)), item)
    add_minutes([rows[service] for service in sorted(rows)])


def count_expired(services: Sequence[str]) -> None:
    """Count one expired message for each name in ``services``."""
    rows = [empty_minute(service, this_minute()) for service in sorted(set(services))]
    for row in rows:
        row.expired = services.count(row.service)
    add_minutes(rows)


def this_minute() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)


def empty_minute(service: str, minute: datetime) -> DeliveryMinute:
    counters = dict.fromkeys(MINUTE_COUNTERS, 0)
    return DeliveryMinute(service=service, minute=minute, latency=empty_histogram(), **counters)


def _add(row: DeliveryMinute, item: Settlement) -> None:
    outcome, milliseconds = item.report.outcome, item.report.seconds * 1000
    row.duration_ms += round(milliseconds)
    row.died += item.verdict.status is MessageStatus.DLQ
    if outcome is AttemptOutcome.SENT:
        row.sent += 1
        row.latency[bucket_of(milliseconds)] += 1
    elif outcome in (AttemptOutcome.TIMED_OUT, AttemptOutcome.AMBIGUOUS):
        row.timed_out += 1
    elif outcome is AttemptOutcome.SLOWED:
        row.slowed += 1
    else:
        row.failed += 1


def add_minutes(rows: Sequence[DeliveryMinute]) -> None:
    """Add counters to those of their minute, exact under concurrency: each row is locked while added to.

    Call it last in a transaction, with ``rows`` sorted by service: these rows are shared by all workers.
    """
    with connection.cursor() as cursor:
        for row in rows:
            while not _add_to_existing(cursor, row):
                DeliveryMinute.objects.bulk_create([empty_minute(row.service, row.minute)], ignore_conflicts=True)


def _add_to_existing(cursor: Any, row: DeliveryMinute) -> bool:
    """Returns False when the minute has no row yet."""
    minute = connection.ops.adapt_datetimefield_value(row.minute)
    cursor.execute(LOCK_MINUTE if connection.features.has_select_for_update else FIND_MINUTE, [row.service, minute])
    found = cursor.fetchone()
    if found is None:
        return False
    kept = json.loads(found[1]) if isinstance(found[1], str) else found[1]
    counters = [getattr(row, name) for name in MINUTE_COUNTERS]
    cursor.execute(ADD_MINUTE, [*counters, json.dumps(add_histograms([row.latency, kept])), found[0]])
    return True


FIND_MINUTE: Final = "SELECT id, latency FROM delivery_minute WHERE service = %s AND minute = %s"
LOCK_MINUTE: Final = f"{FIND_MINUTE} FOR UPDATE"
ADDITIONS: Final = ", ".join(f"{name} = {name} + %s" for name in MINUTE_COUNTERS)
ADD_MINUTE: Final = f"UPDATE delivery_minute SET {ADDITIONS}, latency = %s WHERE id = %s"
