"""A whole portal of real processes, with a provider that does as it is told, for people in real browsers."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import requests
from django.db.models import Count
from django.test import override_settings

from apps.accounts.models import User
from apps.accounts.services import create_key
from apps.core.actor import SYSTEM
from apps.outbox.models import Message
from apps.services.models import Service
from opsportal.schedule import sync_schedule
from tests.conftest import make_service
from tests.processes import ROOT, Stack, free_port, stack, wait_for
from tests.provider import Provider

PASSWORD: Final = "right-password"
# The hashers of an installation: the suite's own are fast, and unknown to real processes.
HASHERS: Final = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
ROLES: Final = {
    "lead": "lead",
    "ana": "operator",
    "bima": "operator",
    "tia": "lead",
    "eko": "operator",
    "rini": "operator",
    "admin": "admin",
}
# A machine that is busy with other things is slow, not wrong. Where a time is promised, the test says so itself.
PATIENCE_S: Final = 60.0
STARTS_WITHIN_S: Final = 120.0
WORKER: Final = ("-P", "threads", "-c", "2", "--without-gossip", "--without-mingle", "--without-heartbeat")
CALM: Final = {"timeout": 5, "error_threshold_percentage": 100, "volume_threshold": 100_000, "ramp_seconds": 0}


@dataclass
class Portal:
    """The processes of the Procfile, on the test's database."""

    running: Stack
    provider: Provider
    port: int
    web: subprocess.Popen[bytes] | None = None
    key: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_web(self) -> None:
        """As in production, on the same port each time."""
        self.running.extra_env |= {"PORT": str(self.port)}
        command = ("gunicorn", "-c", "opsportal/gunicorn.conf.py", "opsportal.wsgi")
        self.web = self.running.start(sys.executable, "-m", *command, log="web")
        wait_for(self._answers, STARTS_WITHIN_S, "an answer of the web server")

    def stop_web(self) -> None:
        assert self.web is not None
        self.web.terminate()
        self.web.wait(PATIENCE_S)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health/live", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def start_workers(self) -> None:
        self.running.start_delivery()
        celery = (sys.executable, "-m", "celery", "-A", "opsportal")
        self.running.start(*celery, "worker", "-Q", "control", *WORKER, log="control")
        self.running.start(*celery, "beat", "--pidfile=", log="beat")

    def service(self, name: str, **fields: Any) -> Service:
        """A service whose messages go to the provider, and whose breaker does not mind what it answers."""
        fields.setdefault("breaker", CALM)
        return make_service(name, settings={"url": self.provider.url}, **fields)

    def hand_in(self, messages: Sequence[dict[str, Any]]) -> list[int]:
        """Messages through the API, as a program does; their numbers."""
        self.key = self.key or create_key(name="producer", scopes=["messages:write"], actor=SYSTEM).raw
        answer = self.call(self.key, "/batch", {"messages": list(messages)})
        assert answer.status_code == 202, answer.text[:500]
        return [item["id"] for item in answer.json()["results"]]

    def call(self, key: str, path: str, body: dict[str, Any]) -> requests.Response:
        """What the API for messages answers to a program that has ``key``."""
        headers = {"Authorization": f"Bearer {key}"}
        return requests.post(f"{self.url}/api/v1/messages{path}", json=body, headers=headers, timeout=PATIENCE_S)

    def until(self, service: str, **counts: int) -> None:
        """Wait until the messages of ``service`` are in these states and no others: ``until("smtp", DLQ=3)``."""
        wait_for(lambda: self.states(service) == counts, PATIENCE_S, f"{service} with {counts}", every=0.2)

    def states(self, service: str) -> dict[str, int]:
        rows = Message.objects.filter(service=service).order_by().values("status").annotate(n=Count("pk"))
        return {row["status"]: row["n"] for row in rows}

    def dead(self, service: str, count: int) -> list[str]:
        """So many messages, handed in and refused by the provider for good; their idempotency keys."""
        keys = [f"{service}-{number}" for number in range(count)]
        self.provider.script = refuse
        self.hand_in([{"service": service, "json": {"order": key}, "idempotency_key": key} for key in keys])
        self.until(service, DLQ=count)
        self.provider.script = accept
        return keys


def accept(key: str, times: int) -> tuple[int, float]:
    return 200, 0.0


def refuse(key: str, times: int) -> tuple[int, float]:
    return 400, 0.0


@contextmanager
def whole_portal() -> Iterator[Portal]:
    with Provider(script=accept, keep=True) as provider, stack(WEB_GRACE_S="5") as running:
        portal = Portal(running, provider, free_port())
        command = [sys.executable, "manage.py", "collectstatic", "--noinput", "-v0"]
        subprocess.run(command, cwd=ROOT, env=running.environment(), check=True)
        sync_schedule()
        make_people()
        portal.start_workers()
        portal.start_web()
        yield portal


def make_people() -> None:
    with override_settings(PASSWORD_HASHERS=HASHERS):
        for name, role in ROLES.items():
            User.objects.create_user(f"{name}@example.com", PASSWORD, role=role)
