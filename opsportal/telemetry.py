"""GET /metrics: counters of every process of this host, and gauges read from the database.

The gauges say the same on every host, so aggregate them with max, not with sum.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import structlog
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from apps.breakers.machine import State
from apps.breakers.selectors import snapshot_all
from apps.core.clock import now
from apps.outbox import metrics as engine_metrics
from apps.outbox.selectors import backlog, open_letters
from opsportal import health

log = structlog.get_logger(__name__)

# Counting a long backlog may take a while; then it is done less often, so it never takes over a tenth of the time.
FRESH_S: Final = 1.0
FRESH_FACTOR: Final = 10
# Literals, so that the partial indexes of live messages answer it on both databases.
LIVE_SQL: Final = """
    SELECT service, status, count(*) FROM notification_outbox
    WHERE status IN ('PENDING', 'RETRYING', 'SENDING') GROUP BY service, status"""

# Importing it registers the engine's counters, so that they are in the answer before the first delivery.
ENGINE: Final = engine_metrics.DELIVERIES


class DatabaseCollector:
    """Gauges from the database: backlog, oldest message, dead letters, breakers, workers."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("opsportal_database_up", "1 if the database answered.")
        families: list[GaugeMetricFamily] = []
        try:
            for ask in (_messages, _waiting, _dead_letters, _breakers, _workers):
                families += ask()
        except DatabaseError as error:
            log.warning("metrics.database_away", error=str(error))
            families = []
        up.add_metric([], 1.0 if families else 0.0)
        yield up
        yield from families


def _messages() -> Iterable[GaugeMetricFamily]:
    found = GaugeMetricFamily("opsportal_messages", "Messages that have not ended.", labels=["service", "status"])
    with connection.cursor() as cursor:
        cursor.execute(LIVE_SQL)
        for service, status, count in cursor.fetchall():
            found.add_metric([service, status], count)
    return [found]


def _waiting() -> Iterable[GaugeMetricFamily]:
    oldest = GaugeMetricFamily(
        "opsportal_oldest_waiting_seconds", "How long the longest-waiting message has been due.", labels=["service"]
    )
    moment = now()
    for service, found in backlog().items():
        since = found.oldest_waiting_at
        oldest.add_metric([service], (moment - since).total_seconds() if since else 0.0)
    return [oldest]


def _dead_letters() -> Iterable[GaugeMetricFamily]:
    return [_gauge("opsportal_dead_letters_open", "Dead letters nobody has dealt with.", "service", open_letters())]


def _breakers() -> Iterable[GaugeMetricFamily]:
    found = GaugeMetricFamily(
        "opsportal_breaker_state", "1 for the state a breaker is in, 0 for the others.", labels=["service", "state"]
    )
    for breaker in snapshot_all():
        for state in State:
            found.add_metric([breaker.service, str(state)], float(str(breaker.state) == str(state)))
    return [found]


def _workers() -> Iterable[GaugeMetricFamily]:
    alive = (health.workers().facts or {}).get("alive", {})
    return [_gauge("opsportal_workers", "Worker processes heard of in the last seconds.", "queue", alive)]


def _gauge(name: str, text: str, label: str, values: dict[str, Any]) -> GaugeMetricFamily:
    found = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        found.add_metric([key], float(value))
    return found


def exposition() -> bytes:
    """Everything, in Prometheus' text format."""
    registry = CollectorRegistry()
    shared = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if shared and Path(shared).is_dir():
        MultiProcessCollector(registry, path=shared)
    else:
        registry.register(REGISTRY)
    registry.register(DatabaseCollector())
    return generate_latest(registry)


class KeptText:
    """The last text, made anew when it is old; whoever asks meanwhile gets the one before."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._text = b""
        self._until = float("-inf")

    def __call__(self) -> bytes:
        if time.monotonic() < self._until:
            return self._text
        with self._lock:
            if time.monotonic() >= self._until:
                begun = time.monotonic()
                self._text = self._make()
                ended = time.monotonic()
                self._until = ended + max(FRESH_S, (ended - begun) * FRESH_FACTOR)
        return self._text

    def forget(self) -> None:
        """Make it anew next time (tests)."""
        self._until = float("-inf")


kept = KeptText(exposition)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus."""
    return HttpResponse(kept(), content_type=CONTENT_TYPE_LATEST)
