from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.outbox.stats import (
    LATENCY_BOUNDS_MS,
    add_histograms,
    bucket_of,
    empty_histogram,
    percentile,
    success_rate,
)

HISTOGRAMS = st.lists(st.integers(0, 1000), min_size=len(LATENCY_BOUNDS_MS), max_size=len(LATENCY_BOUNDS_MS))


@pytest.mark.parametrize(("ms", "bucket"), [(0, 0), (5, 0), (5.1, 1), (30_000, 11), (30_001, 12), (10**9, 12)])
def test_a_bound_belongs_to_its_bucket(ms: float, bucket: int) -> None:
    assert bucket_of(ms) == bucket


def test_nothing_counted_has_no_percentile() -> None:
    assert percentile(empty_histogram(), 0.95) is None
    assert percentile([], 0.95) is None


def test_a_percentile_is_interpolated_in_its_bucket() -> None:
    counts = empty_histogram()
    counts[bucket_of(20)] = 100
    assert percentile(counts, 0.5) == pytest.approx(17.5)
    assert percentile(counts, 1) == pytest.approx(25)


def test_the_open_bucket_gives_its_lower_bound() -> None:
    counts = empty_histogram()
    counts[-1] = 3
    assert percentile(counts, 0.95) == 30_000


@given(HISTOGRAMS, st.floats(0, 1), st.floats(0, 1))
def test_percentiles_grow_with_q(counts: list[int], one: float, other: float) -> None:
    low, high = percentile(counts, min(one, other)), percentile(counts, max(one, other))
    assert (low is None) == (high is None) == (sum(counts) == 0)
    if low is not None and high is not None:
        assert 0 <= low <= high <= 30_000


@given(st.lists(HISTOGRAMS, max_size=5))
def test_adding_loses_nothing(histograms: list[list[int]]) -> None:
    assert sum(add_histograms(histograms)) == sum(map(sum, histograms))
    assert add_histograms([[], *histograms]) == add_histograms(histograms)


def test_a_wrong_q_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        percentile([1], 95)


def test_success_rate() -> None:
    assert success_rate(0, 0) is None
    assert success_rate(3, 1) == 0.75
