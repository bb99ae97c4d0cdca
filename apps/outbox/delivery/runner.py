"""One engine per process, run by a Celery task for a bounded time.

Celery's worker for the ``delivery`` queue has two threads: one becomes the engine, the other receives
the nudges that wake it. When the time is over the engine ends only if nudges still arrive, because a
nudge is what starts the next one: while the broker is away it simply goes on.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Final

from celery.signals import worker_process_shutdown, worker_ready, worker_shutting_down
from django.conf import settings
from django.db import connection

from apps.outbox.delivery.engine import Engine, EngineLimits
from apps.outbox.delivery.store import Store

RUN_S: Final = 600.0
NUDGES_ARRIVE_S: Final = 3.0


class Runner:
    """Holds the engine of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._ended = threading.Event()
        self._nudged_at = 0.0
        self._shutting_down = False

    def deliver(self, seconds: float = RUN_S) -> None:
        """Wake the running engine, or run one in this thread until its time is over."""
        self._nudged_at = time.monotonic()
        with self._lock:
            if self._shutting_down:
                return
            if self._engine is not None:
                self._engine.wake()
                return
            engine = self._engine = Engine(store=Store(), limits=_limits())
            self._ended.clear()
        try:
            asyncio.run(engine.run(seconds, may_end=self._nudges_arrive))
        finally:
            with self._lock:
                self._engine = None
            self._ended.set()
            connection.close()

    def stop(self) -> None:
        """Ask the engine to end; returns at once."""
        with self._lock:
            self._shutting_down = True
            if self._engine is not None:
                self._engine.stop()

    def wait(self) -> None:
        """Wait until the engine has ended, at most its grace period and a little."""
        if self._engine is not None:
            self._ended.wait(settings.DELIVERY_GRACE_S + 5)

    def _nudges_arrive(self) -> bool:
        return time.monotonic() - self._nudged_at < NUDGES_ARRIVE_S


RUNNER: Final = Runner()


def deliver() -> None:
    """Wake or become the engine of this process."""
    RUNNER.deliver()


def _limits() -> EngineLimits:
    return EngineLimits(
        max_in_flight=settings.DELIVERY_MAX_IN_FLIGHT,
        look_s=settings.DELIVERY_LOOK_MS / 1000,
        grace_s=float(settings.DELIVERY_GRACE_S),
    )


@worker_ready.connect
def start_at_once(sender: Any = None, **_: Any) -> None:
    """A delivery worker does not wait for the first nudge."""
    queues = getattr(getattr(sender, "app", None), "amqp", None)
    if queues is not None and "delivery" in queues.queues.consume_from:
        from apps.outbox.tasks import deliver as task

        task.apply_async(expires=60, retry=False)


@worker_shutting_down.connect
def stop_claiming(**_: Any) -> None:
    RUNNER.stop()


@worker_process_shutdown.connect
def wait_for_the_end(**_: Any) -> None:
    RUNNER.wait()
