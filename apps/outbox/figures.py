"""Figures of services: what waits now, and what was delivered in the last minutes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.core.cache import cache
from django.db import connection
from redis.exceptions import RedisError

from apps.core.clock import now
from apps.outbox.models import DeliveryMinute
from apps.outbox.stats import add_histograms, percentile, success_rate

log = structlog.get_logger(__name__)

BACKLOG_KEY: Final = "outbox.backlog"
BACKLOG_SECONDS: Final = 1.0
# Literals, not parameters: that is how SQLite, too, knows that a partial index answers the question.
BACKLOG_SQL: Final = """
    SELECT service, count(*), 0, 0, min(due_at), sum(CASE WHEN due_at > %(now)s THEN 1 ELSE 0 END)
    FROM notification_outbox WHERE status IN ('PENDING', 'RETRYING') AND NOT held GROUP BY service
    UNION ALL
    SELECT service, 0, count(*), 0, NULL, 0 FROM notification_outbox
    WHERE status = 'SENDING' GROUP BY service
    UNION ALL
    SELECT service, 0, 0, count(*), NULL, 0 FROM notification_outbox
    WHERE status IN ('PENDING', 'RETRYING', 'SENDING') AND NOT (ordering_key = '') AND held
    GROUP BY service"""


@dataclass(slots=True)
class Backlog:
    """Messages of one service that have not ended. ``waiting`` includes ``held`` (behind another message
    of their ordering_key) and ``scheduled`` (not due yet). ``oldest_waiting_at`` is when the one that
    is due longest became due; None when nothing is due.
    """

    waiting: int = 0
    sending: int = 0
    held: int = 0
    scheduled: int = 0
    oldest_waiting_at: datetime | None = None


def backlog() -> dict[str, Backlog]:
    """The backlog of every service that has one; at most a second old."""
    cached = _from_cache()
    if cached is not None:
        return cached
    found = _count_backlog()
    _to_cache(found)
    return found


def _from_cache() -> dict[str, Backlog] | None:
    try:
        found: dict[str, Backlog] | None = cache.get(BACKLOG_KEY)
    except (RedisError, OSError) as error:  # the cache is away: the database knows
        log.debug("cache.away", error=str(error))
        return None
    return found


def _to_cache(found: dict[str, Backlog]) -> None:
    try:
        cache.set(BACKLOG_KEY, found, BACKLOG_SECONDS)
    except (RedisError, OSError) as error:
        log.debug("cache.away", error=str(error))


def _count_backlog() -> dict[str, Backlog]:
    moment = now()
    found: dict[str, Backlog] = {}
    with connection.cursor() as cursor:
        cursor.execute(BACKLOG_SQL, {"now": connection.ops.adapt_datetimefield_value(moment)})
        for service, waiting, sending, held, oldest, scheduled in cursor.fetchall():
            row = found.setdefault(service, Backlog())
            row.waiting += waiting + held
            row.sending += sending
            row.held += held
            row.scheduled += scheduled
            row.oldest_waiting_at = _past(oldest, moment) or row.oldest_waiting_at
    return found


def _past(value: Any, moment: datetime) -> datetime | None:
    """SQLite hands times over as text, in UTC."""
    if value is None:
        return None
    at = value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=moment.tzinfo)
    return at if at <= moment else None


@dataclass(frozen=True, slots=True)
class MinutePoint:
    """One minute of a sparkline. ``failed`` includes time-outs."""

    minute: datetime
    sent: int = 0
    failed: int = 0
    slowed: int = 0
    died: int = 0


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """Deliveries of the last ``minutes`` minutes, the current one included. Counts are of attempts;
    ``failed`` includes ``timed_out``; ``slowed`` (429 and the like) counts as neither. ``success_rate``
    is 0 to 1; it and ``p95_ms`` (of successes) are None when there is nothing to go by.
    """

    minutes: int
    sent: int = 0
    failed: int = 0
    timed_out: int = 0
    slowed: int = 0
    died: int = 0
    expired: int = 0
    success_rate: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    per_second: float = 0.0
    series: list[MinutePoint] = field(default_factory=list)


def service_figures(name: str | None = None, *, minutes: int = 5) -> ServiceFigures:
    """Figures of one service, or of all of them together."""
    rows = _rows(minutes)
    return _figures(rows.filter(service=name) if name is not None else rows, minutes)


def figures_by_service(*, minutes: int = 5) -> dict[str, ServiceFigures]:
    """Figures of every service that delivered something, in one query."""
    return _by_service(_rows(minutes), minutes)


def figures_of_both(*, short: int, long: int) -> tuple[dict[str, ServiceFigures], dict[str, ServiceFigures]]:
    """Figures of every service over the last ``short`` and the last ``long`` minutes, in one query."""
    rows = list(_rows(long))
    start = _minutes(short)[0]
    return _by_service([row for row in rows if row.minute >= start], short), _by_service(rows, long)


def _by_service(rows: Iterable[DeliveryMinute], minutes: int) -> dict[str, ServiceFigures]:
    found: dict[str, list[DeliveryMinute]] = {}
    for row in rows:
        found.setdefault(row.service, []).append(row)
    return {name: _figures(kept, minutes) for name, kept in sorted(found.items())}


def _rows(minutes: int) -> Any:
    return DeliveryMinute.objects.filter(minute__gte=_minutes(minutes)[0])


def _minutes(minutes: int) -> list[datetime]:
    last = now().replace(second=0, microsecond=0)
    return [last - timedelta(minutes=back) for back in range(minutes - 1, -1, -1)]


def _figures(rows: Iterable[DeliveryMinute], minutes: int) -> ServiceFigures:
    kept = list(rows)
    sums = {name: sum(getattr(row, name) for row in kept) for name in COUNTERS}
    latency = add_histograms(row.latency for row in kept)
    failed = sums["failed"] + sums["timed_out"]
    return ServiceFigures(
        minutes,
        **{**sums, "failed": failed},
        success_rate=success_rate(sums["sent"], failed),
        p50_ms=percentile(latency, 0.5),
        p95_ms=percentile(latency, 0.95),
        per_second=sums["sent"] / (60 * minutes),
        series=_series(kept, minutes),
    )


COUNTERS: Final = ("sent", "failed", "timed_out", "slowed", "died", "expired")


def _series(rows: Sequence[DeliveryMinute], minutes: int) -> list[MinutePoint]:
    by_minute: dict[datetime, list[DeliveryMinute]] = {minute: [] for minute in _minutes(minutes)}
    for row in rows:
        by_minute.get(row.minute, []).append(row)
    return [
        MinutePoint(
            minute,
            sent=sum(row.sent for row in found),
            failed=sum(row.failed + row.timed_out for row in found),
            slowed=sum(row.slowed for row in found),
            died=sum(row.died for row in found),
        )
        for minute, found in by_minute.items()
    ]
