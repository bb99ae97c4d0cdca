"""Our engine as a contender: the real delivery worker, on PostgreSQL and on SQLite, attempt records always."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.peers.specs import Setting
from bench.processes import WORK, Child, run
from bench.servers import Servers

DATABASE = "portal"
WORKER = (
    "-A",
    "opsportal",
    "worker",
    "-Q",
    "delivery",
    "-n",
    "delivery@%h",
    "-P",
    "threads",
    "-c",
    "2",
    "-l",
    "WARNING",
)
PLAIN = ("--without-gossip", "--without-mingle", "--without-heartbeat")


class Portal:
    """One installation of ours for the run: its environment and its steps. ``kind`` is postgres or sqlite."""

    def __init__(self, servers: Servers, kind: str) -> None:
        self.kind = kind
        self.folder = WORK / f"portal-{kind}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        broker = servers.valkey.url.removesuffix("/0")
        number = 4 if kind == "postgres" else 6
        self.env = {
            "DATA_DIR": str(self.folder),
            "DATABASE_URL": servers.postgres.dsn(DATABASE) if kind == "postgres" else "",
            "BROKER_URL": f"{broker}/{number}",
            "CACHE_URL": f"{broker}/{number + 1}",
            "SECRET_KEY": "a-key-of-the-benchmark-that-guards-nothing-at-all-0123456789",
            "DELIVERY_PRIVATE_NETWORKS": "allow",
            "API_RATE_PER_MINUTE": "100000000",
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "warning",
        }
        if kind == "postgres":
            servers.postgres.create(DATABASE)
        self.manage("migrate", "--no-input", "-v", "0")

    def manage(self, *arguments: str) -> str:
        return run(f"manage.py {arguments[0]}", [sys.executable, "manage.py", *arguments], self.env)

    def step(self, *arguments: str, seconds: float = 300) -> dict[str, Any]:
        """One step of bench/portal.py."""
        command = [sys.executable, "-m", "bench.portal", *arguments]
        output = run(f"bench.portal {arguments[0]}", command, self.env, seconds)
        result: dict[str, Any] = json.loads(output.splitlines()[-1])
        return result

    def worker(self, **env: str) -> Child:
        """The delivery worker as the Procfile starts it."""
        command = [sys.executable, "-m", "celery", *WORKER, *PLAIN]
        return Child(f"delivery-{self.kind}", command, {**self.env, **env})


@dataclass
class EngineContender:
    """Ours. ``record`` is always true: there is no way to switch the attempt record off."""

    portal: Portal
    record: bool = True

    def __post_init__(self) -> None:
        self.name = "opsportal, PostgreSQL" if self.portal.kind == "postgres" else "opsportal, SQLite"

    def candidates(self, latency_ms: int) -> Sequence[Setting]:
        counts = (1024, 512, 256) if latency_ms else (1024, 512, 256, 128)
        return [Setting(f"max_in_flight {count}", {"in_flight": count}) for count in counts]

    def messages(self, latency_ms: int) -> int:
        return 10_000 if latency_ms else 24_000

    def prepare(self, servers: Servers, setting: Setting, count: int) -> None:
        self.portal.step("fill", servers.sink.url, str(count), str(setting.options["in_flight"]))
        if self.portal.kind == "postgres":
            servers.postgres.settle_down(DATABASE)

    def start(self, servers: Servers, setting: Setting, count: int) -> Child:
        return self.portal.worker(DELIVERY_MAX_IN_FLIGHT=str(setting.options["in_flight"]))

    def problem(self, servers: Servers, count: int) -> str:
        """Every message SENT with its attempt, at most 5 s after its request."""
        deadline = time.monotonic() + 5
        state = self.portal.step("state")
        while state["sent"] < count and time.monotonic() < deadline:
            state = self.portal.step("state")
        wrong = state["sent"] != count or state["other"] or state["attempts"] != count
        return f"the outbox says {state} after {count} deliveries" if wrong else ""
