"""Figures of deliveries: pure arithmetic on counters."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from math import inf
from typing import Final

# Upper bounds, inclusive, in milliseconds. DeliveryMinute.latency has one count per bound.
LATENCY_BOUNDS_MS: Final = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, inf)


def bucket_of(duration_ms: float) -> int:
    """The position in a histogram where a delivery of ``duration_ms`` milliseconds is counted."""
    return bisect_left(LATENCY_BOUNDS_MS, duration_ms)


def empty_histogram() -> list[int]:
    return [0] * len(LATENCY_BOUNDS_MS)


def add_histograms(histograms: Iterable[Sequence[int]]) -> list[int]:
    """The sum of histograms; one that is empty (a minute without successes) counts as zeros."""
    total = empty_histogram()
    for counts in histograms:
        for position, count in enumerate(counts[: len(total)]):
            total[position] += count
    return total


def percentile(counts: Sequence[int], q: float) -> float | None:
    """The q-quantile (0 to 1) in milliseconds, interpolated in its bucket; None without any count.

    As Prometheus' histogram_quantile: in the last, open bucket it is that bucket's lower bound.
    """
    if not 0 <= q <= 1:
        raise ValueError(f"q must be from 0 to 1, not {q}")
    total = sum(counts)
    if total == 0:
        return None
    rank, seen = q * total, 0
    for position, count in enumerate(counts):
        if count and seen + count >= rank:
            return _within(position, (rank - seen) / count)
        seen += count
    return float(LATENCY_BOUNDS_MS[-2])


def _within(position: int, share: float) -> float:
    lower = LATENCY_BOUNDS_MS[position - 1] if position else 0
    upper = LATENCY_BOUNDS_MS[position]
    return float(lower) if upper == inf else lower + (upper - lower) * max(0.0, share)


def success_rate(sent: int, failed: int) -> float | None:
    """Share of attempts that were sent, 0 to 1; None without any attempt."""
    attempts = sent + failed
    return sent / attempts if attempts else None
