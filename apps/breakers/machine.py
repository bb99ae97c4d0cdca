"""The breaker as a state machine. Pure: no ORM, no clock, no lock; the time comes in, in seconds.

The in-process half (:mod:`apps.breakers.local`) runs one of these for each breaker whose state is its own
(local scope, a worker that fails alone, a database that is away); the shared half
(:mod:`apps.breakers.store`) follows the same rules in SQL. Semantics: docs/design/breakers.md.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from apps.breakers.window import TOLERANCE_S, Counts, Window


class State(enum.StrEnum):
    """What a person sees. HALF_OPEN is derived: open, and the reset time has passed."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"
    FORCED_OPEN = "FORCED_OPEN"
    FORCED_CLOSED = "FORCED_CLOSED"
    METRICS_ONLY = "METRICS_ONLY"


# The states that let every call through.
ADMITTING: Final = frozenset({State.CLOSED, State.FORCED_CLOSED, State.METRICS_ONLY})
OVERRIDES: Final = frozenset({State.FORCED_OPEN, State.FORCED_CLOSED, State.METRICS_ONLY})


class Outcome(enum.Enum):
    SUCCESS = "success"
    FAILURE = "failure"
    TIMEOUT = "timeout"
    IGNORED = "ignored"


class Kind(enum.StrEnum):
    """What is written to the history."""

    OPENED = "opened"
    REOPENED = "reopened"
    CLOSED = "closed"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"
    METRICS_ONLY = "metrics_only"
    OVERRIDE_ENDED = "override_ended"
    RESET = "reset"
    TEST_ASKED = "test_asked"
    CONFIGURED = "configured"
    LOCALLY_OPENED = "locally_opened"
    LOCALLY_CLOSED = "locally_closed"


@dataclass(frozen=True, slots=True)
class Rule:
    """When to open, how long to wait, how to try again. Seconds and percent.

    ``need`` successes of at most ``permits`` probes close; None means all of them. ``lease`` None means that
    a probe keeps its slot until it settles. ``slow`` None means that no call is slow. ``max_reset`` None
    means that the back-off has no ceiling.
    """

    percentage: float = 50
    volume: int = 1
    strictly_more: bool = False
    reset: float = 60
    window: float = 10
    buckets: int = 10
    permits: int = 1
    need: int | None = None
    lease: float | None = None
    slow: float | None = None
    slow_percentage: float = 100
    multiplier: float = 1
    max_reset: float | None = None

    @property
    def needed(self) -> int:
        return self.permits if self.need is None else self.need

    def crossed(self, counts: Counts) -> bool:
        """Do these counts open the breaker? Asked after a failure or a slow call only."""
        if counts.completed < max(1, self.volume):
            return False
        if self._reached(counts.failures, counts.completed, self.percentage):
            return True
        return self.slow is not None and self._reached(counts.slow, counts.completed, self.slow_percentage)

    def _reached(self, part: int, whole: int, percentage: float) -> bool:
        have, limit = 100 * part, percentage * whole
        # Nothing wrong is never enough, also with a limit of 0 %.
        return part > 0 and (have > limit if self.strictly_more else have >= limit)

    def is_slow(self, seconds: float) -> bool:
        return self.slow is not None and seconds > self.slow

    def wait_after(self, reopened: int) -> float:
        """Seconds until the next test after the breaker re-opened ``reopened`` times in a row."""
        wait = self.reset * self.multiplier ** min(reopened, 64)
        return wait if self.max_reset is None else min(wait, max(self.max_reset, self.reset))

    def verdict(self, ok: int, failed: int) -> bool | None:
        """After so many good and bad probes of one round: close (True), re-open (False), or go on (None)."""
        if ok >= self.needed:
            return True
        return False if failed > self.permits - self.needed else None


@dataclass(slots=True, eq=False)
class Call:
    """A call that was let through. ``slot`` is set for a probe."""

    epoch: int
    started: float
    slot: int | None = None
    done: bool = False


@dataclass(slots=True)
class Probe:
    """A slot of the round: whose it is, until when, and how it ended."""

    call: Call
    epoch: int
    granted: float
    outcome: bool | None = None

    def dead(self, now: float, lease: float | None) -> bool:
        """Its lease is over, or lies further ahead than a lease is long: the clock stepped back."""
        if lease is None:
            return False
        return now >= self.granted + lease - TOLERANCE_S or now < self.granted - TOLERANCE_S


@dataclass(slots=True)
class Machine:
    """One breaker. ``on_event`` hears every transition, override and reset."""

    rule: Rule = field(default_factory=Rule)
    on_event: Callable[[Kind], None] = lambda kind: None
    epoch: int = 1
    is_open: bool = False
    probe_at: float = 0.0
    wait: float = 0.0
    reopened: int = 0
    override: State | None = None
    override_until: float | None = None
    rejected: int = 0
    window: Window = field(init=False)
    probes: list[Probe | None] = field(init=False)

    def __post_init__(self) -> None:
        self.window = Window(self.rule.window, self.rule.buckets)
        self.probes = [None] * self.rule.permits

    # --- what it shows -------------------------------------------------------------------------
    def state(self, now: float) -> State:
        self._end_override(now)
        if self.override is not None:
            return self.override
        if not self.is_open:
            return State.CLOSED
        return State.HALF_OPEN if self._due(now) else State.OPEN

    def retry_after(self, now: float) -> float | None:
        """Seconds until it is worth asking again; None when it is now, or not known."""
        state = self.state(now)
        if state is State.FORCED_OPEN and self.override_until is not None:
            return self.override_until - now
        return self.probe_at - now if state is State.OPEN else None

    def counts(self, now: float) -> Counts:
        self._end_override(now)
        return self.window.total(now)

    def _due(self, now: float) -> bool:
        # A wait further ahead than its own length means that the clock stepped back: it is void.
        left = self.probe_at - now
        return left <= TOLERANCE_S or left > self.wait + TOLERANCE_S

    # --- calls ---------------------------------------------------------------------------------
    def admit(self, now: float) -> Call | None:
        """Let a call through, as a probe when half-open; None means rejected."""
        state = self.state(now)
        if state in ADMITTING:
            return Call(self.epoch, now)
        slot = self._free_slot(now) if state is State.HALF_OPEN else None
        if slot is None:
            self.rejected += 1
            return None
        call = Call(self.epoch, now, slot)
        self.probes[slot] = Probe(call, self.epoch, now)
        return call

    def settle(self, call: Call, outcome: Outcome, now: float, seconds: float | None = None) -> None:
        """A call ended. The outcome of an earlier epoch, or of a lost lease, changes nothing."""
        if call.done:
            return
        call.done = True
        self._end_override(now)
        took = max(0.0, now - call.started) if seconds is None else seconds
        if call.slot is not None:
            self._settle_probe(call, call.slot, outcome, took, now)
        elif call.epoch == self.epoch and outcome is not Outcome.IGNORED:
            self._count(outcome, took, now)

    def _count(self, outcome: Outcome, seconds: float, now: float) -> None:
        slow = self.rule.is_slow(seconds)
        counts = Counts(
            ok=outcome is Outcome.SUCCESS,
            fail=outcome is Outcome.FAILURE,
            timeout=outcome is Outcome.TIMEOUT,
            slow=slow,
        )
        self.window.add(now, counts)
        if slow or outcome is not Outcome.SUCCESS:
            self.evaluate(now)

    def evaluate(self, now: float) -> bool:
        """Open if the window says so; asked after a failure or a slow call, never after a plain success."""
        if self.state(now) is State.CLOSED and self.rule.crossed(self.window.total(now)):
            self.trip(now)
            return True
        return False

    def trip(self, now: float) -> None:
        """Open for the reset time."""
        self.reopened = 0
        self._open(now, self.rule.reset)
        self.on_event(Kind.OPENED)

    def open_due(self, now: float) -> None:
        """Open, with a probe wanted at once."""
        self._open(now, 0.0)

    # --- half-open -----------------------------------------------------------------------------
    def _free_slot(self, now: float) -> int | None:
        """A slot nobody holds. A running probe of an earlier round keeps its slot, so the limit holds
        across rounds; one that settled in this round is used up."""
        for slot, probe in enumerate(self.probes):
            if probe is None or (probe.outcome is None and probe.dead(now, self.rule.lease)):
                return slot
            if probe.epoch != self.epoch and probe.outcome is not None:
                return slot
        return None

    def _settle_probe(self, call: Call, slot: int, outcome: Outcome, seconds: float, now: float) -> None:
        probe = self.probes[slot]
        if probe is None or probe.call is not call:
            return
        if outcome is Outcome.IGNORED:
            self.probes[slot] = None
            return
        # A slow answer is what slow calls opened it for: closing on it would open it again.
        probe.outcome = outcome is Outcome.SUCCESS and not self.rule.is_slow(seconds)
        if call.epoch == self.epoch:
            self._decide(now)

    def _decide(self, now: float) -> None:
        ended = [probe.outcome for probe in self._round() if probe.outcome is not None]
        verdict = self.rule.verdict(ended.count(True), ended.count(False))
        if verdict is True:
            self._close()
            self.on_event(Kind.CLOSED)
        elif verdict is False:
            self.reopened += 1
            self._open(now, self.rule.wait_after(self.reopened))
            self.on_event(Kind.REOPENED)

    def _round(self) -> Iterable[Probe]:
        return (probe for probe in self.probes if probe is not None and probe.epoch == self.epoch)

    # --- operator ------------------------------------------------------------------------------
    def force_open(self, now: float, seconds: float | None = None) -> None:
        """Reject everything for ``seconds`` (None: until further notice), then let a probe through."""
        self.reopened = 0
        self._open(now, seconds or 0.0)
        self._begin_override(State.FORCED_OPEN, now, seconds, Kind.FORCED_OPEN)

    def force_closed(self, now: float, seconds: float | None = None) -> None:
        """Let everything through, count it and never trip; ends closed, with an empty window."""
        self._close()
        self._begin_override(State.FORCED_CLOSED, now, seconds, Kind.FORCED_CLOSED)

    def metrics_only(self, now: float, seconds: float | None = None) -> None:
        """As forced closed: the counters show what the rule would see."""
        self._close()
        self._begin_override(State.METRICS_ONLY, now, seconds, Kind.METRICS_ONLY)

    def auto(self, now: float) -> None:
        """End the override: a forced open becomes "open, probe due", the others end closed."""
        self._end_override(now)
        if self.override is not None:
            self._finish_override(now)

    def reset(self, now: float) -> None:
        """Close, with an empty window and without override."""
        self._end_override(now)
        was_open = self.is_open
        self._close()
        self.on_event(Kind.RESET)
        if was_open:
            self.on_event(Kind.CLOSED)

    def _begin_override(self, state: State, now: float, seconds: float | None, kind: Kind) -> None:
        self.override = state
        self.override_until = None if seconds is None else now + seconds
        self.on_event(kind)

    def _end_override(self, now: float) -> None:
        until = self.override_until
        if self.override is not None and until is not None and now >= until - TOLERANCE_S:
            self._finish_override(until)

    def _finish_override(self, at: float) -> None:
        if self.override is State.FORCED_OPEN:
            self._open(at, 0.0)
        else:
            self._close()
        self.on_event(Kind.OVERRIDE_ENDED)

    # --- a new epoch ---------------------------------------------------------------------------
    def _open(self, now: float, wait: float) -> None:
        self.is_open, self.wait, self.probe_at = True, wait, now + wait
        self._new_epoch()

    def _close(self) -> None:
        self.is_open, self.reopened = False, 0
        self._new_epoch()

    def _new_epoch(self) -> None:
        self.epoch += 1
        self.override, self.override_until = None, None
        self.window.clear()
