"""Properties of the machine and its window, whatever happens in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from apps.breakers.machine import ADMITTING, Call, Kind, Machine, Outcome, Rule, State
from apps.breakers.window import Counts, Window

PERMITS, LEASE, RESET, WINDOW = 3, 8.0, 5.0, 10.0


class BreakerMachine(RuleBasedStateMachine):
    """Calls, outcomes, operators and the clock in any order, against what must always hold."""

    @initialize(
        permits=st.integers(1, PERMITS),
        need=st.integers(1, PERMITS),
        volume=st.integers(1, 6),
        multiplier=st.sampled_from([1, 2]),
    )
    def begin(self, permits: int, need: int, volume: int, multiplier: int) -> None:
        self.events: list[Kind] = []
        chosen = Rule(
            volume=volume,
            reset=RESET,
            permits=permits,
            need=min(permits, need),
            lease=LEASE,
            multiplier=multiplier,
            max_reset=20,
            slow=2,
            slow_percentage=80,
        )
        self.machine = Machine(chosen, on_event=self.events.append)
        self.now = 1000.0
        self.running: list[Call] = []

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.floats(0, 5000))
    def clock_steps_back(self, seconds: float) -> None:
        self.now -= seconds

    @rule()
    def call(self) -> None:
        state = self.machine.state(self.now)
        before = self.machine.rejected
        admitted = self.machine.admit(self.now)
        if admitted is None:
            assert state not in ADMITTING
            assert self.machine.rejected == before + 1
        else:
            assert (admitted.slot is None) == (state in ADMITTING)
            self.running.append(admitted)

    @rule(data=st.data(), outcome=st.sampled_from(Outcome), seconds=st.sampled_from([0.1, 3.0]))
    def settle(self, data: Any, outcome: Outcome, seconds: float) -> None:
        if self.running:
            call = data.draw(st.sampled_from(self.running))
            self.running.remove(call)
            state, epoch = self.machine.state(self.now), self.machine.epoch
            self.machine.settle(call, outcome, self.now, seconds)
            if outcome is Outcome.IGNORED or call.epoch != epoch:
                assert self.machine.epoch == epoch, "what does not count changes nothing"
            if state is State.CLOSED and outcome is Outcome.SUCCESS and seconds < 2:
                assert not self.machine.is_open, "a plain success never opens"
            if call.slot is None and state is not State.CLOSED:
                assert self.machine.state(self.now) is state, "only a probe moves an open breaker"

    @rule(what=st.sampled_from(["force_open", "force_closed", "metrics_only"]), seconds=st.floats(0.1, 50))
    def override(self, what: str, seconds: float) -> None:
        getattr(self.machine, what)(self.now, seconds)
        assert self.machine.state(self.now).value.startswith(("FORCED", "METRICS"))
        assert not self.machine.counts(self.now)

    @rule()
    def end_override(self) -> None:
        was = self.machine.state(self.now)
        self.machine.auto(self.now)
        now = self.machine.state(self.now)
        assert was is not State.FORCED_OPEN or now is State.HALF_OPEN
        assert now in (State.CLOSED, State.OPEN, State.HALF_OPEN)

    @rule()
    def reset(self) -> None:
        self.machine.reset(self.now)
        assert self.machine.state(self.now) is State.CLOSED
        assert not self.machine.counts(self.now)

    @invariant()
    def never_more_probes_than_permits(self) -> None:
        live = [p for p in self.machine.probes if p is not None and p.outcome is None and not p.dead(self.now, LEASE)]
        assert len(live) <= self.machine.rule.permits

    @invariant()
    def never_stuck(self) -> None:
        """Whatever happened: after the longest wait and the longest lease a call is let through.

        An override outlasts a clock that steps back: nobody's decision is cut short by a clock.
        """
        copy = _copy(self.machine)
        later = max(self.now, self.machine.override_until or 0) + 20 + LEASE + 51
        assert copy.admit(later) is not None

    @invariant()
    def waits_are_bounded(self) -> None:
        left = self.machine.retry_after(self.now)
        if left is not None and self.machine.override is None:
            assert 0 <= left <= 50 + 1e-6

    @invariant()
    def a_tripped_breaker_has_an_empty_window(self) -> None:
        if self.machine.is_open and self.machine.override is None:
            assert self.machine.counts(self.now).completed == 0


def _copy(machine: Machine) -> Machine:
    import copy

    listener, machine.on_event = machine.on_event, _silent
    made = copy.deepcopy(machine)
    machine.on_event = listener
    return made


def _silent(kind: Kind) -> None:
    return


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=60))
@settings(max_examples=100, deadline=None)
def test_the_window_is_what_a_list_of_calls_would_say(steps: list[tuple[float, int, int]]) -> None:
    window, calls, now = Window(WINDOW, 10), [], 0.0
    for passed, ok, fail in steps:
        now += passed
        window.add(now, Counts(ok=ok, fail=fail))
        calls.append((window.number(now), ok, fail))
        young = [call for call in calls if call[0] > window.number(now) - 10]
        total = window.total(now)
        assert (total.ok, total.fail) == (sum(c[1] for c in young), sum(c[2] for c in young))


def test_counts_add_up() -> None:
    one, other = Counts(1, 2, 3, 4, 5, 6), Counts(6, 5, 4, 3, 2, 1)
    assert one.plus(other) == Counts(7, 7, 7, 7, 7, 7)
    assert (one.completed, one.failures) == (6, 5)
    assert not Counts()
    assert (Counts().failure_rate, Counts().slow_rate) == (0, 0)


def test_a_rule_that_has_not_its_volume_never_crosses() -> None:
    assert not Rule(volume=5).crossed(Counts(fail=4))
    assert not Rule(volume=0).crossed(Counts())
    assert not Rule(percentage=0, volume=1).crossed(Counts(ok=5))
    assert Rule(percentage=100, volume=1).crossed(Counts(fail=1))


def test_the_wait_never_overflows() -> None:
    assert Rule(reset=60, multiplier=10, max_reset=300).wait_after(30_000) == 300
