"""The delivery engine: one asyncio loop that holds many services at once.

The loop sends; threads beside it do the database work in batches, claiming and settling side by side.
A slow service only holds its own slots. Nothing is decided in memory that the database does not also
know: a killed engine loses nothing but the answers it had not settled yet, and those messages are sent
again with the same id.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog

from apps.breakers.guard import Permit
from apps.channels.base import Channel
from apps.core.errors import PortalError
from apps.outbox.delivery import sending
from apps.outbox.delivery.claim import Claim, Claimed
from apps.outbox.delivery.lanes import Lane, LaneConfig
from apps.outbox.delivery.outcome import Report, Settlement, judge
from apps.outbox.delivery.settler import DATABASE_ERRORS, Settler, pause_after
from apps.outbox.delivery.store import Store

log = structlog.get_logger(__name__)
T = TypeVar("T")

CONFIG_EVERY_S: Final = 1.0
SWEEP_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Seconds and counts; see docs/reference/environment.md for where they come from."""

    max_in_flight: int = 512
    look_s: float = 1.0
    grace_s: float = 20.0


@dataclass(slots=True)
class Flight:
    """A message on its way."""

    lane: Lane
    row: Claimed
    started: float
    stuck_at: float
    stuck: bool = False


@dataclass(slots=True)
class Engine:
    """Run with :meth:`run`; :meth:`wake` and :meth:`stop` may be called from any thread."""

    store: Store
    limits: EngineLimits = field(default_factory=EngineLimits)
    rng: random.Random = field(default_factory=random.SystemRandom)
    # How much longer than its time-out a send may take before its slot is taken back.
    stuck_after_s: float = 5.0
    lanes: dict[str, Lane] = field(default_factory=dict)
    _flights: dict[asyncio.Task[Report], Flight] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _settler: Settler | None = None
    _database: ThreadPoolExecutor | None = None
    _due: dict[str, float] = field(default_factory=dict)
    _troubles: int = 0
    _warned: dict[str, Any] = field(default_factory=dict)

    # --- from any thread -----------------------------------------------------------------------
    def wake(self) -> None:
        """Look for work now, in every lane."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._look_everywhere)

    def stop(self) -> None:
        """Claim nothing more, let what is in flight finish within the grace period, then end."""
        self._stopping.set()
        self.wake()

    # --- the loop ------------------------------------------------------------------------------
    async def run(self, seconds: float, may_end: Callable[[], bool] = lambda: True) -> None:
        """Deliver until :meth:`stop`, or until ``seconds`` have passed and ``may_end`` agrees."""
        self._loop = asyncio.get_running_loop()
        self._database = ThreadPoolExecutor(self.store.threads, thread_name_prefix="outbox-database")
        self._settler = Settler(self._write)
        settling = asyncio.create_task(self._settler.run())
        # Should settling ever end by a bug, the engine ends too and says so; the next nudge starts a new one.
        settling.add_done_callback(lambda _: self.stop())
        end = time.monotonic() + seconds
        log.info("engine.started", worker=self.store.worker)
        try:
            while not self._stopping.is_set() and not (time.monotonic() >= end and may_end()):
                await self._turn()
                await self._pause()
            await self._drain()
        finally:
            await self._end(settling)

    async def _turn(self) -> None:
        """Housekeeping when it is due, then claim for what is free."""
        try:
            if self._is_due("config", CONFIG_EVERY_S):
                await self._configure()
            if self._is_due("sweep", SWEEP_EVERY_S):
                self._cut_off_stuck()
                await self._in_database(self.store.sweep)
            await self._claim()
            self._troubles = 0
        except DATABASE_ERRORS as error:
            pause = pause_after(self._troubles)
            self._troubles += 1
            log.warning("engine.database_away", error=str(error).strip(), next_try_s=pause)
            await asyncio.sleep(pause)

    async def _pause(self) -> None:
        """Sleep until slots are free, a nudge comes, or the next look is due."""
        self._wake.clear()
        seconds = self._seconds_to_next_look()
        if seconds <= 0 or self._stopping.is_set():
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _seconds_to_next_look(self) -> float:
        """A lane that has more to claim but no slots worth it is woken by the slots, not by the clock."""
        now = time.monotonic()
        waits = [lane.next_look - now for lane in self.lanes.values() if not self._is_full(lane)]
        return max(0.0, min([self.limits.look_s, *waits]))

    def _look_everywhere(self) -> None:
        for lane in self.lanes.values():
            lane.next_look = 0.0
        self._wake.set()

    def _is_due(self, what: str, every: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every
        return True

    # --- claim ---------------------------------------------------------------------------------
    async def _claim(self) -> None:
        now = time.monotonic()
        for lane in sorted(self.lanes.values(), key=lambda lane: lane.next_look):
            if lane.next_look <= now and not self._stopping.is_set() and not self._is_full(lane):
                await self._claim_for(lane)

    def _free(self, lane: Lane) -> int:
        """Slots for a lane: its own limit, and half of what is left here, so that no lane takes all."""
        left = self.limits.max_in_flight - sum(other.in_flight for other in self.lanes.values())
        fair = left if len(self.lanes) == 1 else (left + 1) // 2
        return min(lane.config.limits.max_in_flight - lane.in_flight, fair)

    def _is_full(self, lane: Lane) -> bool:
        """Claiming one by one would cost a transaction per message, so a busy lane waits for a few slots."""
        return self._free(lane) < max(1, min(lane.in_flight // 3, lane.config.limits.max_in_flight // 4))

    async def _claim_for(self, lane: Lane) -> None:
        reservation = lane.breaker.reserve(self._free(lane))
        if not reservation.count:
            wait = lane.breaker.retry_after()
            lane.next_look = time.monotonic() + min(0.25, wait if wait else 0.1)
            return
        unused = reservation.count
        try:
            want = lane.want(reservation.count)
            claim, templates = await self._in_database(self.store.claim, want)
            unused -= len(claim.rows)
        finally:
            reservation.release(unused)
        self._schedule(lane, claim)
        for row in claim.rows:
            self._start(lane, row, reservation.permit, templates)

    def _schedule(self, lane: Lane, claim: Claim) -> None:
        now = time.monotonic()
        if claim.wait_s is not None:
            lane.next_look = now + claim.wait_s
        else:
            lane.next_look = now if claim.more else now + self.limits.look_s

    # --- send ----------------------------------------------------------------------------------
    def _start(self, lane: Lane, row: Claimed, permit: Permit, templates: sending.Templates) -> None:
        task = asyncio.create_task(sending.attempt(lane, row, permit, templates))
        now = time.monotonic()
        self._flights[task] = Flight(lane, row, now, now + lane.config.breaker.timeout + self.stuck_after_s)
        lane.in_flight += 1
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[Report]) -> None:
        flight = self._flights.pop(task)
        lane = flight.lane
        report = self._cancelled(flight) if task.cancelled() else task.result()
        head = lane.config.ordering.waiting_head == "dead_letter"
        verdict = judge(report, lane.config.retry, dead_letter_waiting_head=head, rng=self.rng)
        assert self._settler is not None
        self._settler.add(Settlement(report, verdict))

    @staticmethod
    def _cancelled(flight: Flight) -> Report:
        say = sending.stuck if flight.stuck else sending.interrupted
        return say(flight.row, flight.lane.config.service, time.monotonic() - flight.started)

    def _cut_off_stuck(self) -> None:
        """A send that ignores its own time-out gives its slot back, and counts as an attempt."""
        now = time.monotonic()
        for task, flight in self._flights.items():
            if now > flight.stuck_at and not flight.stuck:
                flight.stuck = True
                log.error("delivery.stuck", message_id=flight.row.id, service=flight.lane.config.service)
                task.cancel()

    async def _write(self, batch: Sequence[Settlement]) -> None:
        """Settle a batch. Only now are its slots free: what is on the wire or unsettled is never more than
        the limit, which bounds what a killed worker sends twice and what waits while the database is away."""
        await self._in_database(self.store.settle, batch)
        for item in batch:
            lane = self.lanes[item.report.service]
            lane.in_flight -= 1
            if item.report.row.ordering_key:
                lane.next_look = 0.0  # settling has let its follower go, which no claim has seen yet
        if any(not self._is_full(lane) for lane in self.lanes.values()):
            self._wake.set()

    # --- configuration, stopping ---------------------------------------------------------------
    async def _configure(self) -> None:
        configs = await self._in_database(self.store.lane_configs)
        for name in self.lanes.keys() - configs.keys():
            if not self.lanes[name].in_flight:
                await self.lanes.pop(name).channel.close()
        for config in configs.values():
            lane = self.lanes.get(config.service)
            if lane is None or lane.config.version != config.version:
                self._open(config, lane)

    def _open(self, config: LaneConfig, lane: Lane | None) -> None:
        """Open a lane, or give it what changed. A service whose channel cannot be built stays as it was."""
        try:
            opened = self.store.open_lane(config)
        except (PortalError, OSError) as error:
            self._warn_once(config, str(error))
            return
        if lane is None:
            self.lanes[config.service] = opened
            return
        self._close_later(lane.channel, lane.config.breaker.timeout)
        lane.config, lane.channel, lane.breaker = config, opened.channel, opened.breaker

    def _warn_once(self, config: LaneConfig, error: str) -> None:
        if self._warned.get(config.service) != config.version:
            self._warned[config.service] = config.version
            log.error("service.misconfigured", service=config.service, error=error, effect="its messages wait")

    def _close_later(self, channel: Channel, seconds: float) -> None:
        """Sends that are under way still use the old channel."""
        assert self._loop is not None
        loop = self._loop
        loop.call_later(seconds + 1.0, lambda: loop.create_task(channel.close()))

    async def _drain(self) -> None:
        """Let what is in flight finish within the grace period, then give the rest back."""
        if self._flights:
            await asyncio.wait(list(self._flights), timeout=self.limits.grace_s)
        for task in list(self._flights):
            task.cancel()
        if self._flights:
            await asyncio.wait(list(self._flights), timeout=1.0)

    async def _end(self, settling: asyncio.Task[None]) -> None:
        """Settle what is left; connections are closed even when settling has failed."""
        assert self._settler is not None
        self._settler.end()
        try:
            await settling
        finally:
            await self._close()
            log.info("engine.stopped", worker=self.store.worker)

    async def _close(self) -> None:
        for lane in self.lanes.values():
            await lane.channel.close()
        assert self._database is not None
        # One job per thread: each closes its own connection.
        barrier = threading.Barrier(self.store.threads)
        jobs = [self._in_database(self.store.forget_connection, barrier) for _ in range(self.store.threads)]
        await asyncio.gather(*jobs)
        self._database.shutdown()

    async def _in_database(self, work: Callable[..., T], *arguments: Any) -> T:
        assert self._loop is not None
        return await self._loop.run_in_executor(self._database, work, *arguments)
