"""What came in and what left, minute by minute over the last hour, of all services together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from django.core.cache import cache
from django.db import connection
from redis.exceptions import RedisError

from apps.console.selectors.board import HISTORY_MINUTES, Tile
from apps.core import charts
from apps.core.clock import now

log = structlog.get_logger(__name__)

WIDTH: Final = 600
HEIGHT: Final = 96
KEY: Final = "console.accepted"
KEPT_S: Final = 7200
# A minute whose rows may still become visible: a transaction writes when it began, and shows when it ends.
UNSETTLED: Final = timedelta(minutes=2)
MOST_ROWS: Final = 200_000
MINUTE: Final = {
    "postgresql": "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')",
    "sqlite": "substr(created_at, 1, 16)",
}
ACCEPTED: Final = """
SELECT minute, count(*) FROM (
  SELECT {minute} AS minute FROM notification_outbox WHERE created_at >= %s ORDER BY created_at DESC LIMIT %s) AS newest
GROUP BY minute"""


@dataclass(frozen=True, slots=True)
class FlowPoint:
    """One whole minute; per second."""

    minute: datetime
    accepted: float
    delivered: float


@dataclass(frozen=True, slots=True)
class Flow:
    """``top`` is what the upper end of the axis stands for, per second."""

    points: list[FlowPoint]
    top: float
    accepted: list[str]
    delivered: list[str]
    times: list[datetime]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def lately(self) -> FlowPoint | None:
        """The last five minutes together."""
        last = self.points[-5:]
        if not last:
            return None
        return FlowPoint(
            last[-1].minute,
            sum(point.accepted for point in last) / len(last),
            sum(point.delivered for point in last) / len(last),
        )


def flow(tiles: Sequence[Tile]) -> Flow:
    """The last hour without the minute that is not over."""
    last = now().replace(second=0, microsecond=0)
    minutes = [last - timedelta(minutes=back) for back in range(HISTORY_MINUTES - 1, 0, -1)]
    delivered: dict[datetime, int] = {}
    for tile in tiles:
        for point in tile.history.series:
            delivered[point.minute] = delivered.get(point.minute, 0) + point.sent
    came = accepted(minutes[0])
    points = [FlowPoint(at, came.get(at, 0) / 60, delivered.get(at, 0) / 60) for at in minutes]
    top = nice(max((max(point.accepted, point.delivered) for point in points), default=0.0))
    return Flow(
        points,
        top,
        charts.polylines([point.accepted / top for point in points], width=WIDTH, top=0, bottom=HEIGHT),
        charts.polylines([point.delivered / top for point in points], width=WIDTH, top=0, bottom=HEIGHT),
        [minutes[0] + (last - minutes[0]) * step / 4 for step in range(5)],
    )


def nice(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten: a top for an axis."""
    step = 0.1
    while True:
        for factor in (1, 2, 5):
            if value <= step * factor:
                return round(step * factor, 1)
        step *= 10


def accepted(start: datetime) -> dict[datetime, int]:
    """Messages accepted in each minute since ``start``. A minute that is over is counted once and remembered, so
    that a look costs two minutes of rows, however busy the hour was.
    """
    settled = now() - UNSETTLED
    known = {at: count for at, count in _remembered().items() if at >= start}
    counted_from = max(known, default=start - timedelta(minutes=1)) + timedelta(minutes=1)
    found = known | _count(counted_from)
    whole = [at for at in _minutes(start, settled) if at + timedelta(minutes=1) <= settled]
    _remember({at: found.get(at, 0) for at in whole})
    return found


def _minutes(start: datetime, end: datetime) -> list[datetime]:
    return [start + timedelta(minutes=step) for step in range(max(0, int((end - start).total_seconds() // 60) + 1))]


def _count(start: datetime) -> dict[datetime, int]:
    with connection.cursor() as cursor:
        since = connection.ops.adapt_datetimefield_value(start)
        cursor.execute(ACCEPTED.format(minute=MINUTE[connection.vendor]), [since, MOST_ROWS])
        return {datetime.fromisoformat(at).replace(tzinfo=UTC): int(count) for at, count in cursor.fetchall()}


def _remembered() -> dict[datetime, int]:
    try:
        return cache.get(KEY) or {}
    except (RedisError, OSError) as error:  # the cache is away: the database knows
        log.debug("cache.away", error=str(error))
        return {}


def _remember(minutes: dict[datetime, int]) -> None:
    try:
        cache.set(KEY, minutes, KEPT_S)
    except (RedisError, OSError) as error:
        log.debug("cache.away", error=str(error))
