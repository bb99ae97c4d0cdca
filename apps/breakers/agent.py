"""The one thread of a process that talks to the database about breakers.

About once a second: flush what was counted, look at all breakers, act on what is seen (open, end an override),
report which epochs this process acts upon. In between: leases and their results. The next sync has an
absolute deadline, so that a stream of lease requests can never put it off.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog

from apps.breakers.history import Ledger
from apps.breakers.local import LocalBreaker
from apps.breakers.records import Delta, Lease, ProbeResult, Transition, View, bucket_ms, ms
from apps.breakers.store import STORAGE_ERRORS, Store
from apps.breakers.window import Counts

log = structlog.get_logger(__name__)
T = TypeVar("T")

# With its jitter at most 1.0 s, so that an override reaches the last process well within 1.2 s.
SYNC_S: Final = 0.9
SYNC_JITTER: Final = 0.1
THROTTLE_S: Final = 0.05
RETRY_S: Final = 0.25
CHECK_IN_S: Final = 2.0
CLEAN_S: Final = 60.0
OFFSET_STEP_MS: Final = 20


@dataclass(slots=True)
class Settling:
    """A probe's result on its way to the database; after ``until`` its lease is over anyway."""

    breaker: LocalBreaker
    lease: Lease
    result: ProbeResult
    until: float


@dataclass(slots=True)
class Agent:
    """Start with :meth:`start`; everything public may be called from any thread and returns at once."""

    make_store: Callable[[], Store]
    breakers: Callable[[], Sequence[LocalBreaker]]
    announce: Callable[[Transition], None]
    clock: Callable[[], float] = time.monotonic
    rng: random.Random = field(default_factory=random.SystemRandom)
    sync_s: float = SYNC_S
    thread: threading.Thread | None = None
    away: bool = False
    syncs: int = 0
    _signal: threading.Event = field(default_factory=threading.Event)
    _stopping: bool = False
    _goodbye: bool = True
    _woken: bool = False
    _asks: dict[str, LocalBreaker] = field(default_factory=dict)
    _settling: deque[Settling] = field(default_factory=deque)
    _releases: deque[Lease] = field(default_factory=deque)
    _due: float = 0.0
    _synced_at: float = float("-inf")
    _retry_at: float = 0.0
    _clean_at: float = 0.0
    _checked_in: tuple[float, object] = (float("-inf"), None)
    _offset_ms: float = 0.0
    # Breakers of which this process has flushed failures or slow calls since it last decided.
    _news: set[str] = field(default_factory=set)
    _ledger: Ledger = field(default_factory=Ledger)

    # --- from any thread -----------------------------------------------------------------------
    def start(self) -> None:
        self.thread = threading.Thread(target=self._run, name="breakers-agent", daemon=True)
        self.thread.start()

    def alive(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def wake(self) -> None:
        """Sync soon: at most one sync per 50 ms."""
        self._woken = True
        self._signal.set()

    def ask(self, breaker: LocalBreaker) -> None:
        """A lease for a probe of ``breaker``, once, however often it is asked."""
        self._asks[breaker.name] = breaker
        self._signal.set()

    def settle(self, breaker: LocalBreaker, lease: Lease, result: ProbeResult) -> None:
        until = self.clock() + (breaker.rule.lease or breaker.rule.reset)
        self._settling.append(Settling(breaker, lease, result, until))
        self._signal.set()

    def release(self, lease: Lease) -> None:
        self._releases.append(lease)
        self._signal.set()

    def stop(self, timeout: float, *, goodbye: bool = True) -> None:
        """Flush, give leases back (unless without ``goodbye``), end. Waits at most ``timeout`` seconds."""
        self._goodbye, self._stopping = goodbye, True
        self._signal.set()
        if self.thread is not None and self.thread is not threading.current_thread():
            self.thread.join(timeout)

    # --- the thread ----------------------------------------------------------------------------
    def _run(self) -> None:
        store = self.make_store()
        try:
            self._clean_at = self.clock() + CLEAN_S * self.rng.random()
            while not self._stopping:
                self.turn(store)
                self._wait()
            if self._goodbye:
                self._say_goodbye(store)
        except Exception:
            # The next look of a guarded call at its old view starts another agent.
            log.exception("breakers.agent_died", worker=store.worker)
        finally:
            store.close()

    def _wait(self) -> None:
        until = self._due
        if self._woken:
            until = min(until, self._synced_at + THROTTLE_S)
        if self._asks or self._settling or self._releases:
            until = min(until, self._retry_at)
        if self._signal.wait(max(0.0, until - self.clock())):
            self._signal.clear()

    def turn(self, store: Store) -> None:
        """What is due now: first the sync, then what was asked meanwhile."""
        now = self.clock()
        if now >= self._due or (self._woken and now >= self._synced_at + THROTTLE_S):
            self._sync(store, now)
        if self.clock() >= self._retry_at:
            self._serve(store)

    def _say_goodbye(self, store: Store) -> None:
        for breaker in self.breakers():
            lease = breaker.unused_lease(self.clock(), keep_s=-1.0)
            if lease is not None:
                self._releases.append(lease)
        try:
            self._serve(store)
            self._flush(store, self.breakers())
            self._keep_history(store)
            store.check_out()
        except STORAGE_ERRORS as error:
            log.warning("breakers.last_flush_failed", error=str(error).strip(), lost="at most one second of counts")

    # --- sync ----------------------------------------------------------------------------------
    def _sync(self, store: Store, now: float) -> None:
        self._woken, self._synced_at = False, now
        self._due = now + self.sync_s * (1 + self.rng.uniform(-SYNC_JITTER, SYNC_JITTER))
        self.syncs += 1
        breakers = self.breakers()
        if not breakers:
            return
        try:
            self._flush(store, breakers)
            views = self._look_again(store, breakers)
        except STORAGE_ERRORS as error:
            self._lost(store, error)
            return
        self._back()
        views = self._while_writable(store, lambda: self._after(store, breakers, views)) or views
        for breaker in breakers:
            breaker.judged(now, self.clock())
        self._while_writable(store, lambda: self._write_down(store, breakers, views))

    def _while_writable(self, store: Store, work: Callable[[], T]) -> T | None:
        """It can be read; if it cannot be written (a lock, a standby) the next sync tries again."""
        try:
            return work()
        except STORAGE_ERRORS as error:
            log.warning("breakers.write_failed", error=str(error).strip(), next_try_s=round(self.sync_s, 3))
            store.close()
            return None

    def _lost(self, store: Store, error: Exception) -> None:
        store.close()
        self._retry_at = self.clock() + RETRY_S
        if not self.away:
            self.away = True
            log.warning("breakers.storage_lost", error=str(error).strip(), effect="each process decides for itself")
        self._asks.clear()
        for breaker in self.breakers():
            breaker.storage_lost(self.clock())

    def _back(self) -> None:
        if self.away:
            self.away = False
            log.info("breakers.storage_back")

    def _flush(self, store: Store, breakers: Sequence[LocalBreaker]) -> None:
        """Counters that cannot be written now wait for the next time; the view is still worth a look."""
        taken = [(breaker, view, breaker.take_pending()) for breaker in breakers if (view := breaker.view) is not None]
        deltas = [
            self._delta(breaker, view, bucket, counts, errors)
            for breaker, view, pending in taken
            for bucket, (counts, errors) in pending.items()
        ]
        if not deltas:
            return
        try:
            store.flush(deltas)
        except STORAGE_ERRORS as error:
            log.debug("breakers.flush_deferred", error=str(error).strip())
            store.close()
            for breaker, view, pending in taken:
                breaker.put_back(view.epoch, pending)
            return
        for delta in deltas:
            self._ledger.add(delta.breaker_id, delta.at_ms, delta.counts)
        for breaker, _, pending in taken:
            if any(counts.failures or counts.slow for counts, _ in pending.values()):
                self._news.add(breaker.name)

    def _delta(
        self, breaker: LocalBreaker, view: View, bucket: int, counts: Counts, errors: dict[str, Any] | None
    ) -> Delta:
        """A local bucket as the bucket of the database's clock that its middle falls into."""
        middle = (bucket + 0.5) * breaker.length * 1000 + self._offset_ms
        rule = breaker.rule
        return Delta(view.breaker_id, int(middle // bucket_ms(rule)), rule.buckets, view.epoch, counts, errors, middle)

    def _look_again(self, store: Store, breakers: Sequence[LocalBreaker]) -> dict[str, View]:
        """Look; once more on a new connection, because the old one may have died in its sleep."""
        try:
            return self._look(store, breakers)
        except STORAGE_ERRORS:
            store.close()
            return self._look(store, breakers)

    def _look(self, store: Store, breakers: Sequence[LocalBreaker]) -> dict[str, View]:
        new = [breaker for breaker in breakers if breaker.config_version is None]
        if new:
            self._configure(store, new)
        known = {breaker.name: breaker for breaker in breakers if breaker.config_version is not None}
        views = self._views(store, known)
        stale = [known[name] for name, view in views.items() if view.config_version != known[name].config_version]
        gone = [known[name] for name in known.keys() - views.keys()]
        if gone:
            store.create([breaker.name for breaker in gone])
        if stale or gone:
            self._configure(store, [*stale, *gone])
            known = {name: breaker for name, breaker in known.items() if breaker.config_version is not None}
            views = self._views(store, known)
        now = self.clock()
        for name, view in views.items():
            known[name].apply(view, now)
        return views

    def _configure(self, store: Store, breakers: Sequence[LocalBreaker]) -> None:
        configs = store.configs([breaker.name for breaker in breakers])
        for breaker in breakers:
            breaker.configure(configs.get(breaker.name))

    def _views(self, store: Store, known: dict[str, LocalBreaker]) -> dict[str, View]:
        if not known:
            return {}
        before = self.clock()
        views = store.views({name: breaker.rule for name, breaker in known.items()})
        after = self.clock()
        if views:
            now_ms = next(iter(views.values())).now_ms
            offset = now_ms - (before + after) / 2 * 1000
            # Small differences are the network's; following them would move counts between buckets.
            if abs(offset - self._offset_ms) > max(OFFSET_STEP_MS, ms(after - before)):
                self._offset_ms = offset
        return views

    # --- acting on what was seen ---------------------------------------------------------------
    def _after(self, store: Store, breakers: Sequence[LocalBreaker], views: dict[str, View]) -> dict[str, View]:
        """Act on what was seen; the views afterwards."""
        return self._look(store, breakers) if self._act(store, breakers, views) else views

    def _act(self, store: Store, breakers: Sequence[LocalBreaker], views: dict[str, View]) -> bool:
        """True when something changed. Of several processes that see the same, one does it."""
        changed = False
        for breaker in breakers:
            view = views.get(breaker.name)
            step = None if view is None else self._step(store, breaker, view)
            if step is not None:
                changed = True
                self._announce(step())
        self._news.clear()
        return changed

    def _step(self, store: Store, breaker: LocalBreaker, view: View) -> Callable[[], Transition | None] | None:
        if view.cfg_version != view.config_version:
            return lambda: store.configured(view, breaker.policy)
        if view.override_over:
            return lambda: store.end_override(view)
        if self._crosses(breaker, view):
            return lambda: store.trip(view, breaker.rule)
        return None

    def _crosses(self, breaker: LocalBreaker, view: View) -> bool:
        """Only who has just brought failures or slow calls opens: a success never does. Of several that
        bring them at once the last sees them all."""
        if breaker.local_scope or view.is_open or view.override:
            return False
        news = breaker.name in self._news or bool(breaker.suspect_until)
        return news and breaker.rule.crossed(view.counts)

    def _announce(self, transition: Transition | None) -> None:
        if transition is not None:
            log.info("breaker.changed", service=transition.service, kind=transition.kind.value, epoch=transition.epoch)
            self.announce(transition)

    def _write_down(self, store: Store, breakers: Sequence[LocalBreaker], views: dict[str, View]) -> None:
        """What this process did on its own, and what it acts upon."""
        now = self.clock()
        for breaker in breakers:
            view = views.get(breaker.name)
            while view is not None and breaker.notes:
                note = breaker.notes[0]
                self._announce(store.local(view, note.kind, ms(now - note.at), note.detail))
                breaker.notes.popleft()
            if view is not None and self._recovered_alone(breaker, view, now):
                store.close_local(view)
        seen = {name: view.epoch for name, view in sorted(views.items())}
        alone = {breaker.name: report for breaker in breakers if (report := breaker.report(now)) is not None}
        news = (seen, {name: report["state"] for name, report in alone.items()})
        if news != self._checked_in[1] or now - self._checked_in[0] >= CHECK_IN_S:
            store.check_in(seen, alone)
            self._checked_in = (now, news)
        if self._ledger.due(now):
            self._keep_history(store)
        self._clean(store)

    def _keep_history(self, store: Store) -> None:
        store.add_history(self._ledger.cells)
        self._ledger.written(self.clock())

    @staticmethod
    def _recovered_alone(breaker: LocalBreaker, view: View, now: float) -> bool:
        """A forced open of local scope is over, and this process has closed."""
        return breaker.local_scope and view.is_open and not view.forced and breaker.report(now) is None

    def _clean(self, store: Store) -> None:
        if self.clock() >= self._clean_at:
            self._clean_at = self.clock() + CLEAN_S * self.rng.uniform(0.5, 1.5)
            store.forget_old()

    # --- leases --------------------------------------------------------------------------------
    def _serve(self, store: Store) -> None:
        """Results first: they free slots and end rounds."""
        for breaker in self.breakers():
            lease = breaker.unused_lease(self.clock())
            if lease is not None:
                self._releases.append(lease)
        try:
            self._settle_all(store)
            while self._releases:
                store.release(self._releases[0])
                self._releases.popleft()
            self._lease_all(store)
        except STORAGE_ERRORS as error:
            # A lock, or the database is away: the sync finds out which.
            log.debug("breakers.ask_failed", error=str(error).strip())
            store.close()
            self._retry_at, self._due = self.clock() + RETRY_S, 0.0

    def _settle_all(self, store: Store) -> None:
        while self._settling:
            item = self._settling[0]
            if self.clock() > item.until:
                log.warning("breakers.probe_result_lost", service=item.breaker.name, ok=item.result.ok)
            else:
                transition = store.settle(item.breaker.name, item.lease, item.result, item.breaker.rule)
                if transition is not None:
                    self._announce(transition)
                    self._look(store, [item.breaker])
            self._settling.popleft()

    def _lease_all(self, store: Store) -> None:
        while self._asks:
            name, breaker = next(iter(self._asks.items()))
            view, lease, asked_at = breaker.view, None, self.clock()
            try:
                lease = None if view is None else store.lease(view.breaker_id, breaker.rule)
            finally:
                self._asks.pop(name, None)
                if lease is None:
                    breaker.denied(self.clock())
                else:
                    breaker.granted(lease, asked_at)
        if self.away:
            # The database answers again: look at once instead of when the next sync is due.
            self._due = 0.0
