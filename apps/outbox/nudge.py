"""The nudge: a Celery message that only says "look now". Losing it costs a second, so it may fail."""

from __future__ import annotations

import threading
import time
from typing import Final

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)

QUIET_S: Final = 0.05
PAUSE_AFTER_FAILURE_S: Final = 5.0
NUDGE_EXPIRES_S: Final = 2.0


class Nudger:
    """At most one nudge per ``QUIET_S`` and process; silent for a while when the broker is away.

    Whoever runs ``task`` looks on its own too, so nothing depends on the broker.
    """

    def __init__(self, task: str, queue: str) -> None:
        self._task, self._queue = task, queue
        self._lock = threading.Lock()
        self._not_before = 0.0

    def __call__(self) -> None:
        with self._lock:
            now = time.monotonic()
            if now < self._not_before:
                return
            self._not_before = now + QUIET_S
        try:
            self._send()
        except (OperationalError, OSError) as error:
            self._not_before = time.monotonic() + PAUSE_AFTER_FAILURE_S
            log.warning("nudge.failed", error=str(error), next_try_s=PAUSE_AFTER_FAILURE_S)

    def _send(self) -> None:
        # By name: a process that only accepts need not import the engine.
        current_app.send_task(self._task, queue=self._queue, expires=NUDGE_EXPIRES_S, retry=False, ignore_result=True)


nudge_now: Final = Nudger("outbox.deliver", "delivery")


def nudge() -> None:
    """Ask for a look at the outbox once the current transaction has committed."""
    transaction.on_commit(nudge_now)
