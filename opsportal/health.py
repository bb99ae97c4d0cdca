"""Is the process alive, may it take work, and how is everything: /health/live, /health/ready, /health.

Cheap enough to be asked every second by several load balancers: answers are kept for a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError as BrokerError

from apps.alerts import heart, watcher
from apps.alerts.models import EngineHeartbeat
from apps.breakers.models import BreakerWorker
from apps.core.db import database_now
from opsportal.celery import app as celery_app

FRESH_S: Final = 1.0
DATABASE_TIMEOUT_S: Final = 1.0
BROKER_TIMEOUT_S: Final = 1
WORKER_SILENT_AFTER_S: Final = 15.0
QUEUES: Final = ("delivery", "control")
_started = time.monotonic()


@dataclass(frozen=True, slots=True)
class Check:
    """``detail`` says what is wrong and what follows from it; empty when all is well."""

    ok: bool
    detail: str = ""
    facts: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        return {"ok": self.ok, **({"detail": self.detail} if self.detail else {}), **(self.facts or {})}


class _Kept:
    """The answer of a check, kept for a second. While one asks, the others get the answer before."""

    def __init__(self, ask: Callable[[], Check]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._at = float("-inf")
        self._answer = Check(False, "not asked yet")

    def __call__(self) -> Check:
        if time.monotonic() - self._at < FRESH_S:
            return self._answer
        with self._lock:
            if time.monotonic() - self._at >= FRESH_S:
                self._answer, self._at = self._ask(), time.monotonic()
        return self._answer

    def forget(self) -> None:
        self._at = float("-inf")


class _Patient:
    """Asks the database on a thread of its own, so that one that hangs cannot hold the request."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._running: Future[None] | None = None

    def __call__(self) -> Check:
        if self._running is not None and not self._running.done():
            return Check(False, f"the database has not answered for more than {DATABASE_TIMEOUT_S:g} s")
        self._running = self._pool.submit(_ask_database)
        try:
            self._running.result(DATABASE_TIMEOUT_S)
        except FutureTimeout:
            return Check(False, f"the database did not answer within {DATABASE_TIMEOUT_S:g} s")
        except DatabaseError as error:
            return Check(False, f"the database cannot be used: {str(error).splitlines()[0][:200]}")
        return Check(True)


def _ask_database() -> None:
    """A question that only a migrated database can answer."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM notification_outbox WHERE id = 0")
    finally:
        connection.close()


def _ask_broker() -> Check:
    try:
        with celery_app.connection_for_read(connect_timeout=BROKER_TIMEOUT_S) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_TIMEOUT_S)
    except (BrokerError, OSError) as error:
        return Check(False, f"the broker cannot be reached ({str(error)[:200]}); messages are accepted and wait")
    return Check(True)


def _ask_workers() -> Check:
    """Workers tell the database every second that they live; the broker is not asked."""
    since = int((time.time() - WORKER_SILENT_AFTER_S) * 1000)
    alive = dict.fromkeys(QUEUES, 0)
    for queue in BreakerWorker.objects.filter(synced_at__gte=since).values_list("queue", flat=True):
        alive[queue] = alive.get(queue, 0) + 1
    missing = [queue for queue in QUEUES if not alive[queue]]
    detail = f"no worker of the queue {' or '.join(missing)} has been heard of for {WORKER_SILENT_AFTER_S:g} s"
    return Check(not missing, detail if missing else "", {"alive": {name: alive[name] for name in alive if name}})


def _ask_workers_if_possible() -> Check:
    if not database().ok:
        return Check(False, "unknown while the database is away")
    return _ask_workers()


def _ask_escalation() -> Check:
    """Are people told of alerts? The sweep writes a heartbeat, and those who watch it what is wrong."""
    row = EngineHeartbeat.objects.filter(pk=heart.NAME).first()
    if row is None:
        return Check(True, facts={"last_sweep_seconds": None})
    now = database_now()
    # What the watchers said last is still so, unless they have not looked for a while.
    said = row.problem if row.watched_at is not None and now - row.watched_at <= watcher.SILENT else ""
    problem = watcher.silence_of(row.beat_at, now) or said
    seconds = round(max(0.0, (now - row.beat_at).total_seconds()), 1)
    return Check(not problem, problem, {"last_sweep_seconds": seconds})


def _ask_escalation_if_possible() -> Check:
    if not database().ok:
        return Check(False, "unknown while the database is away")
    return _ask_escalation()


database = _Kept(_Patient())
broker = _Kept(_ask_broker)
workers = _Kept(_ask_workers_if_possible)
escalation = _Kept(_ask_escalation_if_possible)
CHECKS: Final = {"database": database, "broker": broker, "workers": workers, "escalation": escalation}


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """The process answers. Nothing else is asked: restarting it would not repair a database."""
    return JsonResponse({"status": "ok", "uptime_seconds": round(time.monotonic() - _started, 1)})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """May this instance take work: accepting needs the database and nothing else."""
    found = database()
    body = {"status": "ok" if found.ok else "unavailable", "database": found.as_dict()}
    return JsonResponse(body, status=200 if found.ok else 503)


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """Every check with its details; 503 if one of them fails."""
    found = {name: check() for name, check in CHECKS.items()}
    ok = all(check.ok for check in found.values())
    body = {
        "status": "ok" if ok else "degraded" if found["database"].ok else "unavailable",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "uptime_seconds": round(time.monotonic() - _started, 1),
        "checks": {name: check.as_dict() for name, check in found.items()},
    }
    return JsonResponse(body, status=200 if ok else 503)
