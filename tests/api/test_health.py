"""/health/live, /health/ready, /health and /metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from apps.breakers.models import BreakerWorker
from apps.outbox import metrics as engine_metrics
from apps.outbox.models import Message, MessageStatus
from opsportal import health, telemetry
from opsportal.health import Check
from tests.api.test_operations import make_letter
from tests.conftest import make_service


@pytest.fixture(autouse=True)
def ask_anew() -> Iterator[None]:
    kept = (health.database, health.broker, health.workers, health.escalation, telemetry.kept)
    for answer in kept:
        answer.forget()
    yield
    for answer in kept:
        answer.forget()


def get(path: str) -> Any:
    return Client().get(path)


def heartbeat(queue: str, *, seconds_ago: float = 0) -> None:
    BreakerWorker.objects.create(worker=f"{queue}@host", queue=queue, synced_at=int((time.time() - seconds_ago) * 1000))


class TestLive:
    def test_it_asks_nobody(self) -> None:
        """No database mark on this test: a query would fail it."""
        response = get("/health/live")
        assert (response.status_code, response.json()["status"]) == (200, "ok")

    def test_probes_come_by_address_and_are_not_redirected(self, settings: Any) -> None:
        settings.SECURE_SSL_REDIRECT = True
        response = Client().get("/health/live", headers={"Host": "10.244.0.7:8000"})
        assert response.status_code == 200
        assert response["X-Request-ID"]

    @pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health", "/metrics"])
    def test_only_reading(self, path: str) -> None:
        assert Client().post(path).status_code == 405


class TestReady:
    @pytest.mark.django_db(transaction=True)
    def test_ready(self) -> None:
        response = get("/health/ready")
        assert response.status_code == 200, response.content
        assert response.json() == {"status": "ok", "database": {"ok": True}}

    def test_a_database_that_refuses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse() -> None:
            raise OperationalError("connection refused\nmore")

        monkeypatch.setattr(health, "_ask_database", refuse)
        response = get("/health/ready")
        assert response.status_code == 503
        assert response.json()["database"]["detail"] == "the database cannot be used: connection refused"

    def test_a_database_that_hangs_does_not_hold_the_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        release = threading.Event()
        monkeypatch.setattr(health, "_ask_database", lambda: release.wait(20))
        monkeypatch.setattr(health, "DATABASE_TIMEOUT_S", 0.05)
        monkeypatch.setattr(health, "database", health._Kept(health._Patient()))
        try:
            begun = time.monotonic()
            assert get("/health/ready").status_code == 503
            health.database.forget()
            response = get("/health/ready")
            assert response.status_code == 503
            assert "has not answered" in response.json()["database"]["detail"]
            assert time.monotonic() - begun < 2
        finally:
            release.set()

    def test_many_askers_make_one_question_a_second(self) -> None:
        asked = []

        def ask() -> Check:
            asked.append(1)
            return Check(True)

        kept = health._Kept(ask)
        assert [kept().ok for _ in range(50)] == [True] * 50
        assert len(asked) == 1


class TestHealth:
    @pytest.fixture(autouse=True)
    def database_and_broker(self, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """The test's transaction is not visible from the thread that asks the database."""
        monkeypatch.setitem(health.CHECKS, "database", lambda: Check(True))
        monkeypatch.setattr(health, "database", lambda: Check(True))
        monkeypatch.setitem(health.CHECKS, "broker", lambda: Check(True))

    def test_all_is_well(self) -> None:
        heartbeat("delivery")
        heartbeat("control")
        response = get("/health")
        assert response.status_code == 200, response.content
        body = response.json()
        assert body["status"] == "ok"
        assert body["checks"]["workers"] == {"ok": True, "alive": {"delivery": 1, "control": 1}}
        assert body["timestamp"].endswith("Z")
        assert body["uptime_seconds"] >= 0

    def test_a_silent_worker_is_missed(self) -> None:
        heartbeat("delivery", seconds_ago=60)
        heartbeat("control")
        response = get("/health")
        assert response.status_code == 503
        assert response.json()["status"] == "degraded"
        assert "no worker of the queue delivery" in response.json()["checks"]["workers"]["detail"]

    def test_a_broker_that_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heartbeat("delivery")
        heartbeat("control")
        monkeypatch.setattr(health.celery_app.conf, "broker_url", "redis://127.0.0.1:1/0")
        monkeypatch.setitem(health.CHECKS, "broker", health._ask_broker)
        response = get("/health")
        assert response.status_code == 503
        assert "messages are accepted and wait" in response.json()["checks"]["broker"]["detail"]

    def test_a_database_that_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(health.CHECKS, "database", lambda: Check(False, "away"))
        monkeypatch.setattr(health, "database", lambda: Check(False, "away"))
        response = get("/health")
        assert (response.status_code, response.json()["status"]) == (503, "unavailable")
        assert response.json()["checks"]["workers"]["detail"] == "unknown while the database is away"


def figures(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.django_db
class TestMetrics:
    def scrape(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        response = get("/metrics")
        assert response.status_code == 200
        assert response["Content-Type"].startswith("text/plain")
        return figures(response.content.decode())

    def test_backlog_dead_letters_breakers_and_deliveries(self) -> None:
        make_service("midtrans")
        due = timezone.now() - timedelta(seconds=90)
        for status in (MessageStatus.PENDING, MessageStatus.RETRYING, MessageStatus.RETRYING, MessageStatus.SENT):
            Message.objects.create(service_id="midtrans", payload="x", status=status, next_attempt_at=due)
        make_letter()
        engine_metrics.DELIVERIES.labels("midtrans", "sent").inc()
        found = self.scrape()
        midtrans = ("service", "midtrans")
        assert found["opsportal_messages", (midtrans, ("status", "PENDING"))] == 1
        assert found["opsportal_messages", (midtrans, ("status", "RETRYING"))] == 2
        assert not any(name == "opsportal_messages" and ("status", "SENT") in labels for name, labels in found)
        assert 89 < found["opsportal_oldest_waiting_seconds", (midtrans,)] < 120
        assert found["opsportal_dead_letters_open", (midtrans,)] == 1
        assert found["opsportal_breaker_state", (midtrans, ("state", "CLOSED"))] == 1
        assert found["opsportal_breaker_state", (midtrans, ("state", "OPEN"))] == 0
        assert found["opsportal_deliveries_total", (("outcome", "sent"), midtrans)] >= 1
        assert found["opsportal_database_up", ()] == 1

    def test_without_a_database_the_rest_is_still_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def away() -> None:
            raise OperationalError("away")

        monkeypatch.setattr(telemetry, "_messages", away)
        found = self.scrape()
        assert found["opsportal_database_up", ()] == 0
        assert not any(name.startswith("opsportal_breaker") for name, _ in found)

    def test_a_slow_count_is_not_repeated_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seconds = [0.0]
        monkeypatch.setattr(telemetry.time, "monotonic", lambda: seconds[0])
        made = []

        def slow() -> bytes:
            made.append(1)
            seconds[0] += 2
            return b"x"

        kept = telemetry.KeptText(slow)
        for moment in (0.0, 5.0, 21.0):
            seconds[0] = max(seconds[0], moment)
            kept()
        assert len(made) == 1
        seconds[0] = 23.0
        kept()
        assert len(made) == 2

    def test_processes_of_a_host_are_added_up(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
        import os
        import subprocess
        import sys

        code = "from prometheus_client import Counter; Counter('opsportal_test_total', 'x').inc(2)"
        for _ in range(2):
            environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
            subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
        assert self.scrape()["opsportal_test_total", ()] == 4
