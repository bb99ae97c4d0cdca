"""Counting the calls of one breaker in this process: integers under a lock held for some 50 ns.

Counters of the current bucket are plain attributes; when the bucket ends, or somebody wants to know, they move
into the rolling window and to what waits for the next flush.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from apps.breakers.evidence import ErrorTally
from apps.breakers.machine import Kind, Machine
from apps.breakers.records import Lease, View, rule_of
from apps.breakers.window import Counts
from apps.services.policies import BreakerPolicy

VIEW_TOO_OLD_S: Final = 5.0
RAN_OVER: Final = "ran_over"

Pending = dict[int, tuple[Counts, "dict[str, Any] | None"]]


class Office(Protocol):
    """What a breaker asks of its process: returns at once, never raises."""

    def wake(self) -> None: ...

    def ask(self, breaker: Any) -> None: ...

    def release(self, lease: Lease) -> None: ...


class CountingBreaker(ABC):
    """The counters. ``era`` changes whenever what was counted before no longer counts: an outcome of
    another era is late and dropped. Safe from any thread; ``now`` and durations are seconds of ``clock``.
    """

    name: str
    office: Office
    clock: Callable[[], float]
    policy: BreakerPolicy
    view: View | None
    view_at: float

    def start_counting(self, policy: BreakerPolicy) -> None:
        """With empty hands and a new lock: at the start and in a child after a fork."""
        self.lock = threading.Lock()
        self.era: int = getattr(self, "era", 0) + 1
        self.empty_hands()
        self.use(policy)

    def empty_hands(self) -> None:
        self.ok = self.fail = self.timeout = self.slow = self.rejected = self.ignored = 0
        self.pending: dict[int, Counts] = {}
        self.tallies: dict[int, ErrorTally] = {}

    def use(self, policy: BreakerPolicy) -> None:
        """Count under this policy, from nothing."""
        self.policy, self.rule = policy, rule_of(policy)
        # What took longer than this is slow, or ran over its time-out.
        self.long_after = min(policy.timeout, policy.slow_call_duration or policy.timeout)
        self.local_scope = policy.scope == "local"
        self.new_machine()
        self.length = self.machine.window.length
        self.bucket = self.machine.window.number(self.clock())
        self.bucket_end = (self.bucket + 1) * self.length

    def new_machine(self) -> None:
        self.machine = Machine(self.rule, on_event=self.machine_changed)

    @abstractmethod
    def machine_changed(self, kind: Kind) -> None:
        """The local machine opened or closed."""

    @abstractmethod
    def evaluate(self, now: float) -> None:
        """A failure or a slow call was counted: does it open? Called with the lock held."""

    # --- outcomes ------------------------------------------------------------------------------
    def succeeded(self, era: int, seconds: float, now: float) -> None:
        """A call of ``era`` succeeded. One that ran over its time-out counts as a time-out."""
        with self.lock:
            if now >= self.bucket_end:
                self.turn(now)
            if era == self.era:
                if seconds > self.long_after:
                    self._took_long(seconds, now)
                else:
                    self.ok += 1

    def _took_long(self, seconds: float, now: float) -> None:
        if self.rule.is_slow(seconds):
            self.slow += 1
        if seconds > self.policy.timeout:
            self.timeout += 1
            self._tally(RAN_OVER, "")
        else:
            self.ok += 1
        self.evaluate(now)

    def failed(
        self, era: int, seconds: float, now: float, *, timed_out: bool = False, error_class: str = "", sample: str = ""
    ) -> None:
        """A call of ``era`` failed."""
        with self.lock:
            if now >= self.bucket_end:
                self.turn(now)
            if era != self.era:
                return
            if timed_out or seconds > self.policy.timeout:
                self.timeout += 1
            else:
                self.fail += 1
            if self.rule.is_slow(seconds):
                self.slow += 1
            self._tally(error_class or ("timeout" if timed_out else "error"), sample)
            self.evaluate(now)

    def ignore(self, era: int, now: float) -> None:
        """A call of ``era`` ended in a way that says nothing about the service."""
        with self.lock:
            if now >= self.bucket_end:
                self.turn(now)
            if era == self.era:
                self.ignored += 1

    def _tally(self, error_class: str, sample: str) -> None:
        self.tallies.setdefault(self.bucket, ErrorTally()).add(error_class, sample)

    # --- buckets -------------------------------------------------------------------------------
    def turn(self, now: float) -> None:
        """The bucket is over. Called with the lock held, about once per bucket."""
        self.drain()
        self.bucket = self.machine.window.number(now)
        self.bucket_end = (self.bucket + 1) * self.length
        oldest = self.bucket - self.rule.buckets
        self.tallies = {bucket: tally for bucket, tally in self.tallies.items() if bucket > oldest}
        self.pending = {bucket: counts for bucket, counts in self.pending.items() if bucket > oldest}
        if now - self.view_at > VIEW_TOO_OLD_S:
            self.office.wake()

    def drain(self) -> None:
        """Move the counters of the current bucket on. Called with the lock held."""
        counts = Counts(self.ok, self.fail, self.timeout, self.slow, self.rejected, self.ignored)
        if counts:
            self.ok = self.fail = self.timeout = self.slow = self.rejected = self.ignored = 0
            self.machine.window.add((self.bucket + 0.5) * self.length, counts)
            self.pending.setdefault(self.bucket, Counts()).add(counts)

    def own_errors(self) -> ErrorTally:
        """The error classes of the window."""
        errors = ErrorTally()
        for tally in self.tallies.values():
            errors.merge(tally.as_json())
        return errors

    # --- the flush -----------------------------------------------------------------------------
    def take_pending(self) -> Pending:
        """{local bucket: (counts since the last flush, the errors of the whole bucket)}."""
        with self.lock:
            if self.view is None:
                return {}
            self.drain()
            taken, self.pending = self.pending, {}
            return {bucket: (counts, self._errors_of(bucket)) for bucket, counts in taken.items()}

    def _errors_of(self, bucket: int) -> dict[str, Any] | None:
        tally = self.tallies.get(bucket)
        return None if tally is None else tally.as_json()

    def put_back(self, epoch: int, taken: Mapping[int, tuple[Counts, Any]]) -> None:
        """The flush of what was counted in ``epoch`` failed: it goes with the next one."""
        with self.lock:
            if self.view is not None and self.view.epoch == epoch:
                for bucket, (counts, _) in taken.items():
                    self.pending.setdefault(bucket, Counts()).add(counts)
