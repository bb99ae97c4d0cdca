from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.outbox.delivery.fairness import after, refill, shares


def test_each_tenant_gets_the_same_part_and_the_first_ones_the_rest() -> None:
    assert shares(["a", "b", "c"], 8) == [("a", 3), ("b", 3), ("c", 2)]


def test_with_fewer_slots_than_tenants_the_rotation_decides() -> None:
    tenants = ["a", "b", "c"]
    served = shares(after(tenants, ""), 2)
    assert served == [("a", 1), ("b", 1)]
    assert shares(after(tenants, served[-1][0]), 2) == [("c", 1), ("a", 1)]


def test_no_slots_or_no_tenants_is_nothing() -> None:
    assert shares([], 5) == []
    assert shares(["a"], 0) == []


@given(tenants=st.lists(st.text(max_size=3), unique=True, min_size=1, max_size=50), slots=st.integers(0, 500))
def test_shares_give_out_every_slot_and_differ_by_one_at_most(tenants: list[str], slots: int) -> None:
    split = shares(tenants, slots)
    quotas = [quota for _, quota in split]
    assert sum(quotas) == slots
    if len(split) == len(tenants):
        assert max(quotas) - min(quotas) <= 1


@given(cursor=st.text(max_size=3), tenants=st.lists(st.text(max_size=3), unique=True, max_size=20))
def test_rotation_loses_nobody(cursor: str, tenants: list[str]) -> None:
    assert sorted(after(sorted(tenants), cursor)) == sorted(tenants)


def test_a_clock_that_steps_back_adds_no_tokens() -> None:
    assert refill(3, -3600, per_second=10, burst=10) == 3
    assert refill(3, 0.5, per_second=10, burst=10) == 8
    assert refill(3, 60, per_second=10, burst=10) == 10
