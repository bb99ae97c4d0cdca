"""The drawing of a rolling window: its buckets as bars, and how near it is to opening. Geometry only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from apps.breakers.selectors import BreakerSnapshot
from apps.breakers.windows import BucketView
from apps.services.policies import BreakerPolicy

WIDTH: Final = 300
HEIGHT: Final = 56
GAP: Final = 0.2  # of a bar
MOST_ROWS: Final = 60


@dataclass(frozen=True, slots=True)
class Stack:
    """One bucket: calls that went well below, failures and time-outs on top."""

    x: float
    width: float
    ok_y: float
    ok_height: float
    failed_y: float
    failed_height: float


@dataclass(frozen=True, slots=True)
class Gauge:
    """How far a figure is from its threshold; all in units of the drawing."""

    fill: float
    mark: float
    crossed: bool


@dataclass(frozen=True, slots=True)
class WindowChart:
    """``most`` is the calls of the highest bar. ``rows`` are for people who do not see it."""

    stacks: list[Stack]
    most: int
    rate: Gauge
    volume: Gauge
    rows: list[BucketView]
    width: int = WIDTH
    height: int = HEIGHT


def window_chart(buckets: Sequence[BucketView], breaker: BreakerSnapshot | None, policy: BreakerPolicy) -> WindowChart:
    """The window as the breaker sees it."""
    most = max((bucket.counts.completed for bucket in buckets), default=0)
    completed = breaker.counts.completed if breaker else 0
    rate = breaker.counts.failure_rate if breaker else 0.0
    limit = policy.error_threshold_percentage
    return WindowChart(
        _stacks(buckets, most),
        most,
        _gauge(
            rate, limit, 100.0, crossed=completed > 0 and (rate >= limit if policy.comparison == ">=" else rate > limit)
        ),
        _gauge(completed, policy.volume_threshold, max(2.0 * policy.volume_threshold, completed), crossed=False),
        [bucket for bucket in buckets if bucket.counts][-MOST_ROWS:],
    )


def _stacks(buckets: Sequence[BucketView], most: int) -> list[Stack]:
    each = WIDTH / max(1, len(buckets))
    scale = HEIGHT / most if most else 0.0
    found = []
    for position, bucket in enumerate(buckets):
        ok, failed = bucket.counts.ok * scale, bucket.counts.failures * scale
        if bucket.counts.completed:
            x, width = round(position * each, 2), round(max(1.0, each * (1 - GAP)), 2)
            found.append(
                Stack(x, width, round(HEIGHT - ok, 1), round(ok, 1), round(HEIGHT - ok - failed, 1), round(failed, 1))
            )
    return found


def _gauge(value: float, limit: float, whole: float, *, crossed: bool) -> Gauge:
    return Gauge(round(WIDTH * min(1.0, value / whole), 1), round(WIDTH * min(1.0, limit / whole), 1), crossed)
