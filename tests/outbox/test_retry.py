from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.outbox.retry import backoff, delay_before_retry
from apps.services.policies import RetryPolicy


def test_the_delay_doubles_up_to_the_cap() -> None:
    policy = RetryPolicy(base=1, factor=2, cap=10, jitter="none")
    rng = random.Random(1)
    assert [delay_before_retry(policy, n, rng) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize("attempt", range(7))
def test_full_jitter_stays_below_the_cap_and_averages_half(attempt: int) -> None:
    """Vector R01 of the breaker notes: base 1, cap 30, mean over 10,000 draws within 2 % of half."""
    policy = RetryPolicy(base=1, factor=2, cap=30, jitter="full")
    rng = random.Random(7)
    ceiling = min(30, 2**attempt)
    draws = [delay_before_retry(policy, attempt + 1, rng) for _ in range(10_000)]
    assert 0 <= min(draws) <= max(draws) <= ceiling
    assert abs(sum(draws) / len(draws) - ceiling / 2) < 0.02 * ceiling / 2


def test_equal_jitter_waits_at_least_half() -> None:
    policy = RetryPolicy(base=8, factor=2, cap=60, jitter="equal")
    draws = [delay_before_retry(policy, 1, random.Random(seed)) for seed in range(500)]
    assert min(draws) >= 4
    assert max(draws) <= 8


def test_retry_after_wins_when_it_is_longer_and_only_then() -> None:
    """Vector R06: Retry-After: 7 delays at least 7 s even if the jitter says less."""
    policy = RetryPolicy(base=1, cap=60, jitter="full")
    assert delay_before_retry(policy, 1, random.Random(1), retry_after=7) == 7
    patient = RetryPolicy(base=30, cap=60, jitter="none")
    assert delay_before_retry(patient, 1, random.Random(1), retry_after=7) == 30


@given(attempt=st.integers(0, 1_000_000), factor=st.floats(1, 100), cap=st.floats(0.001, 604_800))
def test_huge_attempt_numbers_never_overflow(attempt: int, factor: float, cap: float) -> None:
    assert 0 < backoff(RetryPolicy(base=0.001, factor=factor, cap=cap), attempt) <= cap
