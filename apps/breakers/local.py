"""The in-process half of a breaker: gate and deadlines. No I/O, no database.

Everything shared is brought here by the agent thread (:mod:`apps.breakers.agent`) as a :class:`View`, and
asked from here of an :class:`Office`. Times are seconds of ``clock``, a monotonic clock.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from apps.breakers.counting import CountingBreaker, Office
from apps.breakers.evidence import Contribution, freeze
from apps.breakers.machine import ADMITTING, Call, Kind, Outcome, State
from apps.breakers.models import Override
from apps.breakers.records import Config, Lease, Note, View
from apps.breakers.window import Counts
from apps.services.policies import BreakerPolicy

# The database's own breaker must work before, and without, a word from the database.
BUILT_IN: Final = {
    "database": BreakerPolicy.parse(
        {
            "timeout": 3,
            "error_threshold_percentage": 50,
            "volume_threshold": 10,
            "reset_timeout": 10,
            "rolling_count_timeout": 5,
            "rolling_count_buckets": 5,
            "scope": "local",
        },
        at="database",
    )
}
DEFAULTS: Final = BreakerPolicy.parse({}, at="breaker")
NEVER: Final = float("inf")
SUSPECT_S: Final = 1.5  # a gate closed on suspicion waits at most so long for the agent's answer
SUSPECT_RETRY_S: Final = 0.25
ASK_AGAIN_S: Final = 1.0
LEASE_KEPT_S: Final = 1.0  # a lease that nobody picks up is given back
DENIED_S: Final = (0.15, 0.35)
JITTER: Final = (0.2, 0.25)  # part of the wait, and at most so many seconds
RAMP: Final = ((0.5, 0.05), (1.0, 0.25))  # until this part of ramp_seconds: this part of the calls
NOTES_KEPT: Final = 100


class Admission:
    """What :meth:`LocalBreaker.admit` decided: a plain call, a probe under a lease, a probe of its own."""

    __slots__ = ("call", "era", "lease")

    def __init__(self, era: int = 0, lease: Lease | None = None, call: Call | None = None) -> None:
        self.era, self.lease, self.call = era, lease, call


REJECTED: Final = Admission()
ASK: Final = Admission()  # rejected unless the office grants a lease: ask it
LOADING: Final = Admission()  # the state is not known yet: wait a moment
UNKNOWN: Final = Admission()  # there is no such service


class LocalBreaker(CountingBreaker):
    """One breaker in this process; safe from any thread.

    ``gate`` 0 lets calls through; with anything else :meth:`admit` decides.
    """

    def __init__(self, name: str, office: Office, clock: Callable[[], float], rng: random.Random | None = None) -> None:
        self.name, self.office, self.clock = name, office, clock
        self.rng = rng or random.SystemRandom()
        self.policy = BUILT_IN.get(name, DEFAULTS)
        self.restart()

    def restart(self) -> None:
        """As new: at the start, and in a child after a fork, which must not believe its parent's state."""
        self.gate, self.shut_until, self.shut_state = 1, 0.0, State.CLOSED
        self.loaded, self.answered = threading.Event(), threading.Event()
        self.known, self.storage_ok = True, True
        self.config_version: int | None = None
        self.view: View | None = None
        self.view_at, self.shared = 0.0, Counts()
        self.cluster_open, self.probe_at, self.jitter = False, 0.0, 0.0
        self.override: State | None = None
        self.override_until: float | None = None
        self.suspected_at = self.suspect_until = 0.0
        self.lease: tuple[Lease, float] | None = None
        self.asked_at: float | None = None
        self.denied_until = 0.0
        self.ramp_from: float | None = None
        self.out = 0
        self.notes: deque[Note] = deque(maxlen=NOTES_KEPT)
        self.start_counting(self.policy)

    # --- deciding to open ----------------------------------------------------------------------
    def evaluate(self, now: float) -> None:
        """Local scope and a lost database decide here; else close the gate and let the agent find out
        whether it opens for everybody."""
        self.drain()
        self._pass_deadlines(now)
        if self._state(now) is not State.CLOSED:
            return
        alone = self.rule.crossed(self.machine.window.total(now))
        if self.local_scope or not self.storage_ok or self.view is None:
            if alone:
                self._trip_alone(now)
        elif alone or self.rule.crossed(self._together()):
            self.suspected_at, self.suspect_until = now, now + SUSPECT_S
            self._regate(now)
            self.office.wake()

    def _together(self) -> Counts:
        """The cluster as last seen, and what was counted here since."""
        total = self.shared
        for counts in self.pending.values():
            total = total.plus(counts)
        return total

    def _trip_alone(self, now: float) -> None:
        own = Contribution("", self.machine.window.total(now), self.own_errors().as_json())
        evidence = freeze(self.rule, [own])
        evidence.pop("workers")
        self.machine.trip(now)
        self.notes[-1] = Note(Kind.LOCALLY_OPENED, now, evidence)
        self.era += 1
        self._regate(now)

    def machine_changed(self, kind: Kind) -> None:
        """Remember it for the history."""
        opened = kind in (Kind.OPENED, Kind.REOPENED)
        detail = {"wait": self.machine.wait, "streak": self.machine.reopened} if opened else {}
        self.notes.append(Note(Kind.LOCALLY_OPENED if opened else Kind.LOCALLY_CLOSED, self.clock(), detail))
        self.office.wake()

    # --- admitting -----------------------------------------------------------------------------
    def admit(self, now: float, *, calls: int = 1) -> Admission:
        """Decide about one call while the gate is shut.

        A rejection counts as ``calls`` (0 for an engine that only looks whether it may), except with ASK and LOADING.
        """
        with self.lock:
            if now >= self.bucket_end:
                self.turn(now)
            found = REJECTED if now < self.shut_until else self._admit(now)
            if found is REJECTED:
                self.rejected += calls
            return found

    def _admit(self, now: float) -> Admission:
        if not self.known:
            return UNKNOWN
        if self.view is None and self.storage_ok:
            return LOADING
        self._pass_deadlines(now)
        state = self._state(now)
        self._regate(now)
        if state in ADMITTING:
            return Admission(self.era)
        return self._admit_probe(now) if state is State.HALF_OPEN else REJECTED

    def _admit_probe(self, now: float) -> Admission:
        if not self.cluster_open:
            call = self.machine.admit(now)
            return REJECTED if call is None else Admission(self.era, call=call)
        if self.lease is not None:
            (lease, asked_at), self.lease = self.lease, None
            if now - asked_at <= LEASE_KEPT_S:
                return Admission(self.era, lease=lease)
            self.office.release(lease)
        waits = self.asked_at is not None and now - self.asked_at < ASK_AGAIN_S
        if waits or now < self.denied_until:
            return REJECTED
        self.asked_at = now
        self.answered.clear()
        return ASK

    def reject(self, now: float) -> None:
        """A call that was not decided by :meth:`admit` is rejected after all."""
        with self.lock:
            if now >= self.bucket_end:
                self.turn(now)
            self.rejected += 1

    def settle_alone(self, call: Call, outcome: Outcome, seconds: float, now: float) -> None:
        """The probe of a breaker that is open for this process only has ended."""
        with self.lock:
            was_open = self.machine.is_open
            self.machine.settle(call, outcome, now, seconds)
            if was_open and not self.machine.is_open:
                self.era += 1
                self.ramp_from = now
                # What was counted before, and could not be written, must not open it for everybody now.
                self.empty_hands()
            self._regate(now)

    # --- many at once --------------------------------------------------------------------------
    def take(self, wanted: int, now: float) -> tuple[int, int]:
        """(permits for at most ``wanted`` calls, cut by the ramp after closing; their era)."""
        with self.lock:
            share = self._share(now)
            number = wanted
            if share < 1:
                number = max(0, min(wanted, max(1, int((wanted + self.out) * share)) - self.out))
            self.out += number
            return number, self.era

    def _share(self, now: float) -> float:
        if self.ramp_from is None:
            return 1.0
        for until, share in RAMP:
            if now - self.ramp_from < until * self.policy.ramp_seconds:
                return share
        self.ramp_from = None
        return 1.0

    def give_back(self, number: int) -> None:
        """So many of the permits taken are over, used or not."""
        with self.lock:
            self.out = max(0, self.out - number)

    # --- leases --------------------------------------------------------------------------------
    def granted(self, lease: Lease, asked_at: float) -> None:
        with self.lock:
            self.lease, self.asked_at, self.shut_until = (lease, asked_at), None, 0.0
            self.answered.set()

    def denied(self, now: float) -> None:
        with self.lock:
            self.asked_at = None
            self.denied_until = now + self.rng.uniform(*DENIED_S)
            if self.gate and self.cluster_open and self.override is None:
                self.shut_until = max(self.shut_until, self.denied_until)
            self.answered.set()

    def unused_lease(self, now: float, keep_s: float = LEASE_KEPT_S) -> Lease | None:
        """A lease nobody picked up in time, to be released."""
        with self.lock:
            if self.lease is None or now - self.lease[1] <= keep_s:
                return None
            (lease, _), self.lease = self.lease, None
            return lease

    # --- state ---------------------------------------------------------------------------------
    def state(self, now: float) -> State:
        """As this process acts upon it; HALF_OPEN is derived."""
        with self.lock:
            self._pass_deadlines(now)
            return self._state(now)

    def retry_after(self, now: float) -> float | None:
        """Seconds until it is worth asking again; None while calls are let through, or nobody knows."""
        with self.lock:
            self._pass_deadlines(now)
            state = self._state(now)
            if state in ADMITTING:
                return 0.05 if self.view is None and self.storage_ok else None
            if state is State.HALF_OPEN:
                return max(0.05, self.denied_until - now)
            if self.suspect_until and not self.override and not self.cluster_open:
                return SUSPECT_RETRY_S
            until = self._shut_until(state)
            return None if until == NEVER else max(0.0, until - now)

    def refusal(self, now: float) -> tuple[State, float | None]:
        """What to tell a rejected call: the state, and the seconds until it is worth asking again."""
        # Read without the lock: this is asked for every rejected call, and may be off by one change.
        if self.suspect_until < now < self.shut_until < NEVER:
            return self.shut_state, self.shut_until - now
        return self.state(now), self.retry_after(now)

    def _state(self, now: float) -> State:
        if self.override is not None:
            return self.override
        if self.cluster_open:
            return State.HALF_OPEN if now >= self.probe_at else State.OPEN
        return State.OPEN if self.suspect_until else self.machine.state(now)

    def _pass_deadlines(self, now: float) -> None:
        """Deadlines hold without the database: an override ends, a suspicion nobody answered is decided."""
        if self.override is not None and self.override_until is not None and now >= self.override_until:
            # Forced open ends as "open, probe due"; the others in closed, with nothing counted.
            was_open, self.override, self.override_until = self.override is State.FORCED_OPEN, None, None
            self._new_era(now, probe_due=was_open and self.local_scope)
        if self.suspect_until and now >= self.suspect_until:
            self._decide_alone(now)

    def _new_era(self, now: float, *, probe_due: bool = False) -> None:
        """Nothing that was counted counts any more."""
        self.era += 1
        self.suspect_until, self.shared = 0.0, Counts()
        self.empty_hands()
        self.new_machine()
        if probe_due:
            self.machine.open_due(now)
        self.turn(now)

    def _regate(self, now: float) -> None:
        state = self._state(now)
        decided = self.known and (self.view is not None or not self.storage_ok)
        self.gate = 0 if decided and state in ADMITTING else 1
        self.shut_state = state
        self.shut_until = self._shut_until(state) if decided else 0.0

    def _shut_until(self, state: State) -> float:
        """Until when nothing can change by itself."""
        if state is State.FORCED_OPEN:
            return NEVER if self.override_until is None else self.override_until
        if state is not State.OPEN:
            return 0.0
        if self.cluster_open:
            return self.probe_at
        return self.suspect_until or self.machine.probe_at

    # --- what the agent brings -----------------------------------------------------------------
    def configure(self, config: Config | None) -> None:
        """Other settings, or the news that there is no such service."""
        with self.lock:
            self.known = config is not None
            if config is None:
                self.gate, self.shut_until, self.view, self.config_version = 1, 0.0, None, None
                self.loaded.set()
            elif config.version != self.config_version:
                self.config_version = config.version
                if config.policy != self.policy:
                    self.empty_hands()
                    self.use(config.policy)
                    self.era += 1

    def apply(self, view: View, now: float) -> None:
        """The database's view, as of ``now``."""
        with self.lock:
            self.drain()
            self.view_at = now
            if self.view is None or view.epoch != self.view.epoch:
                self._enter_epoch(view, now)
            self.view, self.shared = view, view.counts
            self.known, self.storage_ok = True, True
            self.cluster_open = view.is_open and not self.local_scope
            self.override = Override(view.override).state if view.forced else None
            left = view.override_left_ms
            self.override_until = now + left / 1000 if view.forced and left is not None else None
            self._apply_wait(view, now)
            self._regate(now)
            self.loaded.set()

    def _enter_epoch(self, view: View, now: float) -> None:
        """Something happened: an empty window, and after a close the ramp."""
        if self.view is not None and self.cluster_open and not view.is_open and not view.forced:
            self.ramp_from = now
        self._new_era(now, probe_due=self.local_scope and view.is_open and not view.forced)
        # So that not all processes ask in the same moment.
        self.jitter = self.rng.uniform(0, min(JITTER[0] * view.wait_ms / 1000, JITTER[1]))
        self.probe_at, self.denied_until = NEVER, 0.0
        if self.lease is not None:
            (lease, _), self.lease = self.lease, None
            self.office.release(lease)

    def _apply_wait(self, view: View, now: float) -> None:
        due = now + view.retry_in_ms / 1000 + self.jitter
        # Once it is due every view says "0 ms"; that must not move the deadline on and on.
        self.probe_at = due if view.retry_in_ms else min(self.probe_at, due)

    def judged(self, since: float, now: float) -> None:
        """The agent has flushed at ``since`` and looked: the cluster as a whole does not open."""
        with self.lock:
            if self.suspect_until and self.suspected_at <= since:
                self._decide_alone(now)
                self._regate(now)

    def _decide_alone(self, now: float) -> None:
        """Stay open for this process if its own calls say so (one bad worker), else go on."""
        self.suspect_until = 0.0
        if self._state(now) is State.CLOSED and self.rule.crossed(self.machine.window.total(now)):
            self._trip_alone(now)

    def storage_lost(self, now: float) -> None:
        """The database does not answer: local counts decide; what is open stays open, without probes."""
        with self.lock:
            self.storage_ok = False
            if self.asked_at is not None:
                self.asked_at, self.denied_until = None, now + self.rng.uniform(*DENIED_S)
                self.answered.set()
            if self.suspect_until:
                self._decide_alone(now)
            self._regate(now)
            self.loaded.set()

    def report(self, now: float) -> dict[str, Any] | None:
        """How it stands if this process keeps it open on its own."""
        with self.lock:
            if not self.machine.is_open:
                return None
            return {"state": self.machine.state(now).value, "retry_in": self.machine.retry_after(now) or 0.0}
