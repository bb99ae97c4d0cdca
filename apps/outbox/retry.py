"""When to try again: pure arithmetic on a policy. Seconds everywhere."""

from __future__ import annotations

import random
from math import inf

from apps.services.policies import RetryPolicy


def backoff(policy: RetryPolicy, attempt: int) -> float:
    """Delay before jitter after failed attempt number ``attempt`` (1 is the first), never over the cap."""
    try:
        delay = policy.base * policy.factor ** max(0, attempt - 1)
    except OverflowError:
        delay = inf
    return min(policy.cap, delay)


def delay_before_retry(
    policy: RetryPolicy, attempt: int, rng: random.Random, retry_after: float | None = None
) -> float:
    """Delay with jitter; what the provider asked for with Retry-After wins when it is longer.

    Full jitter is uniform in [0, d], equal jitter in [d/2, d] (AWS Architecture Blog,
    "Exponential Backoff And Jitter").
    """
    delay = backoff(policy, attempt)
    if policy.jitter == "full":
        delay = rng.uniform(0, delay)
    elif policy.jitter == "equal":
        delay = delay / 2 + rng.uniform(0, delay / 2)
    return max(delay, retry_after or 0.0)
