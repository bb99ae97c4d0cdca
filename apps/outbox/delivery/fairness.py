"""Who gets the free slots: pure arithmetic. Every tenant with work gets the same share of each claim."""

from __future__ import annotations

from collections.abc import Sequence


def after(tenants: Sequence[str], cursor: str) -> list[str]:
    """``tenants`` (sorted) rotated to begin after ``cursor``, the one that was served last."""
    later = [tenant for tenant in tenants if tenant > cursor]
    return later + [tenant for tenant in tenants if tenant <= cursor]


def shares(tenants: Sequence[str], slots: int) -> list[tuple[str, int]]:
    """Split ``slots`` over ``tenants`` in order: equal parts, the remainder to the first ones.

    A tenant may have fewer messages than its part; the slots it leaves are claimed in the next turn.
    """
    if not tenants or slots <= 0:
        return []
    part, rest = divmod(slots, len(tenants))
    split = [(tenant, part + (position < rest)) for position, tenant in enumerate(tenants)]
    return [(tenant, quota) for tenant, quota in split if quota]


def refill(tokens: float, elapsed: float, per_second: float, burst: float) -> float:
    """A token bucket after ``elapsed`` seconds; a clock that stepped back adds nothing."""
    return min(burst, tokens + max(0.0, elapsed) * per_second)
