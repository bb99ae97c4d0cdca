"""Replaying stored buckets, against cases worked out by hand and against the real machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.breakers.machine import Kind, Machine, Outcome, Rule
from apps.breakers.whatif import Cell, Opening, ProbeEnd, longest, part, replay
from apps.breakers.window import Counts

RULE = Rule(percentage=50, volume=5, reset=60, window=10, buckets=10)
R = 10.0


def cells(*counts: tuple[int, int]) -> list[Cell]:
    """(ok, failed) of one bucket after the other."""
    return [Cell(position * R, Counts(ok=ok, fail=fail)) for position, (ok, fail) in enumerate(counts)]


def run(rule: Rule, *counts: tuple[int, int], tests: tuple[ProbeEnd, ...] = ()) -> list[Opening]:
    return replay(rule, cells(*counts), tests, resolution=R)


def test_nothing_wrong_never_opens() -> None:
    assert run(RULE, *[(100, 0)] * 50) == []
    assert replay(RULE, [], resolution=R) == []


def test_it_opens_in_the_bucket_that_crosses_and_closes_with_the_first_good_one_after_the_wait() -> None:
    # Bucket 2 fails wholly: the window of 10 s holds as many failures as successes after 5 of its 10 steps.
    (found,) = run(RULE, (10, 0), (10, 0), (0, 10), *[(10, 0)] * 10)
    assert found.at == 24.999
    assert (found.counts.ok, found.counts.fail) == (5, 5)
    # The wait ends then, and the step that ends then has calls.
    assert found.until == 84.999
    assert found.failed_tests == 0


def test_the_volume_keeps_it_closed() -> None:
    assert run(RULE, (0, 2), (0, 2), (10, 0)) == []
    assert len(run(replace(RULE, volume=2), (0, 2), (0, 2), *[(10, 0)] * 9)) == 1


@pytest.mark.parametrize(("percentage", "strictly", "openings"), [(50, False, 1), (50, True, 0), (51, False, 0)])
def test_exactly_the_threshold(percentage: float, strictly: bool, openings: int) -> None:
    rule = replace(RULE, percentage=percentage, strictly_more=strictly)
    # Success and failure in every step, so that every window holds as many of the one as of the other.
    assert len(run(rule, (20, 20), *[(10, 0)] * 9)) == openings


def test_a_wider_window_remembers() -> None:
    traffic = ((100, 0), (100, 0), (0, 60), (100, 0))
    assert len(run(RULE, *traffic)) == 1
    assert run(replace(RULE, window=60, buckets=60), *traffic) == []


def test_a_window_shorter_than_a_bucket_sees_its_share() -> None:
    rule = replace(RULE, window=5, buckets=5)
    assert run(rule, (0, 8), (8, 0)) == []  # four in any five seconds
    assert len(run(rule, (0, 10), *[(10, 0)] * 9)) == 1  # five


def test_calls_that_went_on_failing_fail_its_tests() -> None:
    rule = replace(RULE, reset=20, multiplier=2, max_reset=None)
    (found,) = run(rule, *[(0, 10)] * 9, *[(10, 0)] * 9)
    # Opens after 5 s, is tested 20 s later (bad, waits 40 s), then (bad, waits 80 s), then with success.
    assert found == Opening(4.999, 144.999, Counts(fail=5), 2)


def test_without_any_call_it_stays_open() -> None:
    (found,) = run(RULE, (0, 10))
    assert found.until is None
    assert found.seconds(100.0) == pytest.approx(95.001)
    # However long the silence was, the next call is the test.
    quiet = [Cell(0.0, Counts(fail=10)), Cell(90_000.0, Counts(ok=10))]
    (found,) = replay(RULE, quiet, resolution=R)
    assert found.until == 90_000.999


def test_the_real_tests_are_the_evidence_of_the_time_it_was_really_open() -> None:
    real = (ProbeEnd(65.0, ok=False), ProbeEnd(190.0, ok=True))
    (found,) = run(replace(RULE, multiplier=2), (0, 10), tests=real)
    assert found == Opening(4.999, 190.0, Counts(fail=5), 1)


def test_a_real_test_before_the_wait_is_over_says_nothing() -> None:
    (found,) = run(replace(RULE, reset=300), (0, 10), tests=(ProbeEnd(65.0, ok=True),))
    assert found.until is None


def test_a_real_test_while_the_replayed_breaker_is_closed_changes_nothing() -> None:
    assert run(replace(RULE, volume=50), (0, 10), tests=(ProbeEnd(65.0, ok=False),)) == []


def test_several_permits_fail_in_the_proportion_of_the_calls() -> None:
    rule = replace(RULE, permits=4, need=3)
    (found,) = run(rule, (0, 10), *[(0, 0)] * 6, (8, 2), *[(10, 0)] * 3)
    assert found.until == 70.999  # one of four fails, three close
    (found,) = run(rule, (0, 10), *[(0, 0)] * 6, (5, 5), *[(10, 0)] * 40)
    assert found.failed_tests == 1


def test_slow_calls_open_and_a_slow_answer_is_no_good_test() -> None:
    rule = replace(RULE, slow=1.0, slow_percentage=80)
    slow = Cell(0.0, Counts(ok=10, slow=10))
    assert replay(RULE, [slow], resolution=R) == []
    (found,) = replay(rule, [slow, Cell(60.0, slow.counts), Cell(120.0, Counts(ok=10))], resolution=R)
    assert (found.failed_tests, found.until) == (1, 124.999)


def test_the_longest() -> None:
    assert longest([], 100) == 0
    assert longest([Opening(0, 40), Opening(50)], 100) == 50


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 10))
def test_the_parts_of_a_bucket_are_the_bucket(ok: int, fail: int, steps: int) -> None:
    whole = Counts()
    for step in range(steps):
        whole.add(part(Counts(ok=ok, fail=fail), step, steps))
    assert whole == Counts(ok=ok, fail=fail)


# --- against the real machine ------------------------------------------------------------------------
PHASES = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.integers(4, 30)), min_size=2, max_size=8
)  # share of failures, how many buckets
POLICIES = st.builds(
    Rule,
    percentage=st.sampled_from([30.0, 50.0, 70.0]),
    volume=st.integers(1, 8),
    reset=st.sampled_from([10.0, 30.0, 60.0]),
    window=st.sampled_from([10.0, 20.0, 30.0]),
    buckets=st.sampled_from([10]),
    multiplier=st.sampled_from([1.0, 2.0]),
    max_reset=st.just(120.0),
)


def live_through(
    rule: Rule, phases: list[tuple[float, int]], per_bucket: int
) -> tuple[list[Opening], list[Cell], list[ProbeEnd]]:
    """What the real machine does call by call, and what would be stored of it."""
    openings: list[Opening] = []
    tests: list[ProbeEnd] = []
    stored: list[Cell] = []
    now, called, failed = 0.0, 0, 0.0

    def heard(kind: Kind) -> None:
        if kind is Kind.OPENED:
            openings.append(Opening(now))
        elif kind in (Kind.CLOSED, Kind.REOPENED):
            tests.append(ProbeEnd(now, kind is Kind.CLOSED))
            if kind is Kind.CLOSED:
                openings[-1] = replace(openings[-1], until=now)

    machine = Machine(rule, heard)
    bucket = 0
    for share, length in phases:
        for _ in range(length):
            counts = Counts()
            for number in range(per_bucket):
                now = bucket * R + (number + 0.5) * R / per_bucket
                called, failed = called + 1, failed + share
                bad = failed >= 1
                failed -= bad
                call = machine.admit(now)
                if call is None:
                    continue
                if call.slot is None:
                    counts.add(Counts(ok=not bad, fail=bad))
                machine.settle(call, Outcome.FAILURE if bad else Outcome.SUCCESS, now, 0.0)
            stored.append(Cell(bucket * R, counts))
            bucket += 1
    return openings, stored, tests


@settings(max_examples=300, deadline=None)
@given(POLICIES, PHASES, st.sampled_from([20, 40, 100]))
def test_the_real_policy_gives_the_real_openings(rule: Rule, phases: list[tuple[float, int]], per_bucket: int) -> None:
    real, stored, tests = live_through(rule, phases, per_bucket)
    shut = [(opening.at, opening.until or float("inf")) for opening in real]
    found = replay(rule, stored, tests, shut, resolution=R)
    assert all(any(near(mine, theirs) for theirs in real) for mine in found)  # none is made up
    # A real breaker opens in the very moment its rate reaches the threshold. Evenly spread calls may then fall short
    # of it by a call or two, so that none is missed is held against a threshold a tenth lower.
    nervous = replay(replace(rule, percentage=rule.percentage * 0.9), stored, tests, shut, resolution=R)
    assert all(any(abs(mine.at - theirs.at) <= R for mine in nervous) for theirs in real)


def near(mine: Opening, theirs: Opening) -> bool:
    """One opening told by two: both ends within a bucket."""
    if (mine.until is None) != (theirs.until is None):
        return False
    ends = abs((mine.until or 0.0) - (theirs.until or 0.0))
    return abs(mine.at - theirs.at) <= R and ends <= R
