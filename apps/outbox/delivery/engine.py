"""The delivery engine: one asyncio loop that holds many services at once.

The loop sends; one thread beside it does the database work in batches. A slow service only holds its
own slots. Nothing is decided in memory that the database does not also know: a killed engine loses
nothing but the answers it had not settled yet, and those messages are sent again with the same id.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import structlog
from django.db import DatabaseError, InterfaceError

from apps.breakers.guard import Permit
from apps.channels.base import DeliveryError
from apps.core.errors import PortalError
from apps.outbox.delivery.claim import Claim, Claimed, Want
from apps.outbox.delivery.lanes import Lane, LaneConfig, envelope_of
from apps.outbox.delivery.outcome import Report, Settlement, failed, judge, sent
from apps.outbox.delivery.store import Store
from apps.outbox.models import AttemptOutcome, DeathReason
from apps.outbox.rendering import RenderingFailed

log = structlog.get_logger(__name__)
T = TypeVar("T")
Templates = Mapping[tuple[str, int | None], tuple[str, str]]

CONFIG_EVERY_S: Final = 1.0
SWEEP_EVERY_S: Final = 1.0
SETTLE_WITHIN_S: Final = 0.01
DATABASE_PAUSE_S: Final = (0.1, 0.25, 0.5, 1.0)
DATABASE_ERRORS: Final = (DatabaseError, InterfaceError)


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Seconds and counts; see docs/reference/environment.md for where they come from."""

    max_in_flight: int = 512
    look_s: float = 1.0
    grace_s: float = 20.0


@dataclass(slots=True)
class Engine:
    """Run with :meth:`run`; :meth:`wake` and :meth:`stop` may be called from any thread."""

    store: Store
    limits: EngineLimits = field(default_factory=EngineLimits)
    rng: random.Random = field(default_factory=random.SystemRandom)
    # How much longer than its time-out a send may take before its slot is taken back.
    stuck_after_s: float = 5.0
    lanes: dict[str, Lane] = field(default_factory=dict)
    _finished: list[Report] = field(default_factory=list)
    _in_flight: dict[asyncio.Task[None], tuple[Lane, Claimed, float]] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _wake: asyncio.Event | None = None
    _database: ThreadPoolExecutor | None = None
    _due: dict[str, float] = field(default_factory=dict)
    _troubles: int = 0
    _warned: dict[str, Any] = field(default_factory=dict)

    # --- from any thread -----------------------------------------------------------------------
    def wake(self) -> None:
        """Look for work now, in every lane."""
        if self._loop is not None and self._wake is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._look_everywhere)

    def stop(self) -> None:
        """Claim nothing more, let what is in flight finish within the grace period, then end."""
        self._stopping.set()
        self.wake()

    # --- the loop ------------------------------------------------------------------------------
    async def run(self, seconds: float, may_end: Callable[[], bool] = lambda: True) -> None:
        """Deliver until :meth:`stop`, or until ``seconds`` have passed and ``may_end`` agrees."""
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._database = ThreadPoolExecutor(1, thread_name_prefix="outbox-database")
        end = time.monotonic() + seconds
        log.info("engine.started", worker=self.store.worker)
        try:
            while not self._stopping.is_set() and not (time.monotonic() >= end and may_end()):
                await self._turn()
                await self._pause()
            await self._drain()
        finally:
            await self._close()
            log.info("engine.stopped", worker=self.store.worker)

    async def _turn(self) -> None:
        """Settle what is finished, claim for what is free. A database that is away loses nothing:
        reports stay here and are settled when it is back."""
        try:
            await self._settle()
            if self._is_due("config", CONFIG_EVERY_S):
                await self._configure()
            if self._is_due("sweep", SWEEP_EVERY_S):
                self._cancel_overdue()
                await self._in_database(self.store.sweep)
            await self._claim()
            self._troubles = 0
        except DATABASE_ERRORS as error:
            pause = DATABASE_PAUSE_S[min(self._troubles, len(DATABASE_PAUSE_S) - 1)]
            self._troubles += 1
            log.warning(
                "engine.database_away", error=str(error).strip(), next_try_s=pause, unsettled=len(self._finished)
            )
            await self._in_database(self.store.forget_connection)
            await asyncio.sleep(pause)

    async def _pause(self) -> None:
        """Sleep until there is something to do: a report, a nudge, or the next look."""
        assert self._wake is not None
        if not self._finished:
            look = min((lane.next_look for lane in self.lanes.values()), default=0.0)
            timeout = min(self.limits.look_s, max(0.0, look - time.monotonic()) or self.limits.look_s)
            if any(lane.next_look <= time.monotonic() and self._free(lane) for lane in self.lanes.values()):
                timeout = SETTLE_WITHIN_S
            await self._wait(timeout)
        elif len(self._finished) < self._batch_size():
            # A moment more, so that answers that come together are settled together.
            await self._wait(SETTLE_WITHIN_S)

    async def _wait(self, seconds: float) -> None:
        assert self._wake is not None
        self._wake.clear()
        if self._stopping.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _batch_size(self) -> int:
        return max(1, min(256, len(self._in_flight) // 2))

    def _look_everywhere(self) -> None:
        assert self._wake is not None
        for lane in self.lanes.values():
            lane.next_look = 0.0
        self._wake.set()

    def _is_due(self, what: str, every: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every
        return True

    # --- settle --------------------------------------------------------------------------------
    async def _settle(self) -> None:
        if not self._finished:
            return
        reports, self._finished = self._finished, []
        try:
            await self._in_database(self.store.settle, [self._judged(report) for report in reports])
        except DATABASE_ERRORS:
            self._finished = reports + self._finished
            raise

    def _judged(self, report: Report) -> Settlement:
        config = self.lanes[report.service].config
        head = config.ordering.waiting_head == "dead_letter"
        return Settlement(report, judge(report, config.retry, dead_letter_waiting_head=head, rng=self.rng))

    # --- claim ---------------------------------------------------------------------------------
    async def _claim(self) -> None:
        now = time.monotonic()
        for lane in sorted(self.lanes.values(), key=lambda lane: lane.next_look):
            if lane.next_look > now or self._stopping.is_set():
                continue
            free = self._free(lane)
            if free < self._worth_claiming(lane):
                continue
            await self._claim_for(lane, free)

    def _free(self, lane: Lane) -> int:
        """Slots for a lane: its own limit, and half of what is left here, so that no lane takes all."""
        left = self.limits.max_in_flight - len(self._in_flight)
        fair = left if len(self.lanes) == 1 else (left + 1) // 2
        return max(0, min(lane.config.limits.max_in_flight - lane.in_flight, fair))

    def _worth_claiming(self, lane: Lane) -> int:
        """Claiming one by one would cost a transaction per message."""
        return max(1, min(lane.in_flight // 3, lane.config.limits.max_in_flight // 4))

    async def _claim_for(self, lane: Lane, free: int) -> None:
        reservation = lane.breaker.reserve(free)
        if not reservation.count:
            wait = lane.breaker.retry_after()
            lane.next_look = time.monotonic() + min(0.25, wait if wait else 0.1)
            return
        unused = reservation.count
        try:
            claim, templates = await self._in_database(self.store.claim, lane.want(reservation.count))
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

    def _start(self, lane: Lane, row: Claimed, permit: Permit, templates: Templates) -> None:
        task = asyncio.create_task(self._deliver(lane, row, permit, templates))
        deadline = time.monotonic() + lane.config.breaker.timeout + self.stuck_after_s
        self._in_flight[task] = (lane, row, deadline)
        lane.in_flight += 1
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        lane, row, _ = self._in_flight.pop(task)
        lane.in_flight -= 1
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery.crashed", message_id=row.id, service=lane.config.service, exc_info=error)
        if self._wake is not None and len(self._finished) >= self._batch_size():
            self._wake.set()

    # --- send ----------------------------------------------------------------------------------
    async def _deliver(self, lane: Lane, row: Claimed, permit: Permit, templates: Templates) -> None:
        service, started_at, start = lane.config.service, datetime.now(UTC), time.perf_counter()
        try:
            receipt = await lane.channel.send(envelope_of(row, service, templates))
        except RenderingFailed as error:
            permit.ignore()
            report = Report(
                row,
                service,
                started_at,
                0.0,
                AttemptOutcome.FAILED,
                error_class="template_error",
                error=f"The template cannot be rendered: {error}",
                permanent=DeathReason.TEMPLATE,
            )
        except DeliveryError as error:
            seconds = time.perf_counter() - start
            self._tell_breaker(permit, seconds, error, row)
            report = failed(row, service, started_at, seconds, error)
        except asyncio.CancelledError:
            permit.ignore()
            self._finished.append(_interrupted(row, service, started_at, time.perf_counter() - start))
            raise
        except Exception as error:  # a bug in a channel must become an attempt, not a lost message
            seconds = time.perf_counter() - start
            permit.ignore()
            log.exception("delivery.unexpected", message_id=row.id, service=service)
            report = failed(row, service, started_at, seconds, _unexpected(error))
        else:
            seconds = time.perf_counter() - start
            permit.success(seconds)
            report = sent(row, service, started_at, seconds, receipt)
        self._finished.append(report)

    @staticmethod
    def _tell_breaker(permit: Permit, seconds: float, error: DeliveryError, row: Claimed) -> None:
        if error.counts_as_failure:
            permit.failure(seconds, timed_out=error.timed_out, error_class=error.error_class, sample=str(row.id))
        else:
            permit.ignore()

    def _cancel_overdue(self) -> None:
        """A send that ignores its own time-out gives its slot back; its lease ends the rest."""
        now = time.monotonic()
        for task, (lane, row, deadline) in self._in_flight.items():
            if now > deadline and not task.cancelling():
                log.error("delivery.stuck", message_id=row.id, service=lane.config.service)
                task.cancel()

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
        self._close_later(lane.channel, config.breaker.timeout)
        lane.config, lane.channel, lane.breaker = config, opened.channel, opened.breaker

    def _warn_once(self, config: LaneConfig, error: str) -> None:
        if self._warned.get(config.service) != config.version:
            self._warned[config.service] = config.version
            log.error("service.misconfigured", service=config.service, error=error, effect="its messages wait")

    def _close_later(self, channel: Any, seconds: float) -> None:
        assert self._loop is not None
        loop = self._loop
        loop.call_later(seconds + 1.0, lambda: loop.create_task(channel.close()))

    async def _drain(self) -> None:
        """Let what is in flight finish within the grace period, give the rest back, settle all of it."""
        if self._in_flight:
            await asyncio.wait(list(self._in_flight), timeout=self.limits.grace_s)
        for task in list(self._in_flight):
            task.cancel()
        if self._in_flight:
            await asyncio.wait(list(self._in_flight), timeout=1.0)
        for pause in DATABASE_PAUSE_S:
            try:
                await self._settle()
                return
            except DATABASE_ERRORS:
                await asyncio.sleep(pause)
        log.error("engine.unsettled", messages=len(self._finished), effect="their leases end and they are sent again")

    async def _close(self) -> None:
        for lane in self.lanes.values():
            await lane.channel.close()
        assert self._database is not None
        await self._in_database(self.store.forget_connection)
        self._database.shutdown()

    async def _in_database(self, work: Callable[..., T], *arguments: Any) -> T:
        assert self._loop is not None
        return await self._loop.run_in_executor(self._database, work, *arguments)


def _interrupted(row: Claimed, service: str, started_at: datetime, seconds: float) -> Report:
    return Report(
        row,
        service,
        started_at,
        seconds,
        AttemptOutcome.LOST,
        error_class="interrupted",
        error="The worker stopped before the answer came; the provider may have received this message.",
        counts=False,
    )


def _unexpected(error: Exception) -> DeliveryError:
    return DeliveryError(
        f"Unexpected {type(error).__name__} in the channel: {error}",
        error_class="unexpected",
        ambiguous=True,
        counts_as_failure=False,
    )


__all__ = ["Engine", "EngineLimits", "Want"]
