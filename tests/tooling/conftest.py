"""A real portal, started with the command a person uses, in a copy of this folder."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from apps.sandbox.services_file import PORTS
from scripts import bootstrap

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = ("apps", "config", "opsportal", "scripts", "static", "templates", "docs")
READY_WITHIN_S = 90.0


@dataclass
class Portal:
    """`make run` in a folder of its own. ``output`` grows while it runs."""

    folder: Path
    port: int
    process: subprocess.Popen[str]
    output: list[str] = field(default_factory=list)

    @property
    def said(self) -> str:
        return "".join(self.output)

    def wait_for(self, text: str, seconds: float = READY_WITHIN_S) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.said:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.said}"
            assert time.monotonic() < deadline, f"no {text!r} within {seconds:.0f} s:\n{self.said}"
            time.sleep(0.05)

    def get(self, path: str) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return int(answer.status)

    def stop(self, signum: signal.Signals = signal.SIGTERM, within: float = 30.0) -> float:
        """Send a signal, Ctrl-C as a terminal does; returns after how many seconds `make` had ended."""
        began = time.monotonic()
        if self.process.poll() is None:
            if signum == signal.SIGINT:
                os.killpg(self.process.pid, signum)
            else:
                self.process.send_signal(signum)
        self.process.wait(timeout=within)
        return time.monotonic() - began

    def survivors(self) -> list[str]:
        """Command lines of processes that carry this portal's folder in their environment (Linux)."""
        mark = f"DATA_DIR={self.folder / 'var'}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found


def copy_project(folder: Path) -> None:
    """The files the portal needs, and this environment instead of a new one."""
    folder.mkdir(parents=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy2(path, folder / path.name)
    (folder / ".venv").symlink_to(Path(sys.prefix))


def free_ports(count: int) -> int:
    """The first of ``count`` free ports in a row, away from where the system takes ephemeral ones."""
    for first in random.SystemRandom().sample(range(20_000, 30_000), 200):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


def start(folder: Path, port: int, *, sandbox_port: int = 0, database_url: str = "", **more: str) -> Portal:
    """`make run` with ``more`` variables; where the environment was not made by `make`, the program behind it."""
    options = [f"PORT={port}", f"SANDBOX={1 if sandbox_port else 0}"]
    options += [f"SANDBOX_PORT={sandbox_port}"] if sandbox_port else []
    options += [f"DATABASE_URL={database_url}"] if database_url else []
    options += [f"{name}={value}" for name, value in more.items()]
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    command = ["make", "run", *options]
    if bootstrap.read_stamp(Path(sys.prefix)) | bootstrap.wanted(False) != bootstrap.read_stamp(Path(sys.prefix)):
        command = [str(folder / ".venv" / "bin" / "python"), "-m", "scripts.run"]
        env |= dict(option.split("=", 1) for option in options)
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    portal = Portal(folder, port, process)
    threading.Thread(target=_relay, args=(portal,), daemon=True).start()
    return portal


def _relay(portal: Portal) -> None:
    stdout = portal.process.stdout
    assert stdout is not None
    with stdout:
        portal.output.extend(iter(stdout.readline, ""))


@pytest.fixture
def database_url() -> Iterator[str]:
    """A new database beside the tests' own on PostgreSQL; empty, which means SQLite, otherwise."""
    server = os.environ.get("TEST_DATABASE_URL", "")
    if not server:
        yield ""
        return
    name = f"portal_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def make_run(tmp_path: Path, database_url: str) -> Iterator[Callable[..., Portal]]:
    """Starts portals in one folder, deep and with a blank in its name; whatever happens, none is left over."""
    folder = tmp_path / "a folder" / "/".join(["deep"] * 12)
    copy_project(folder)
    started: list[Portal] = []

    def run(*, sandbox: bool = False, **more: str) -> Portal:
        port = free_ports(1 + PORTS)
        portal = start(folder, port, sandbox_port=port + 1 if sandbox else 0, database_url=database_url, **more)
        started.append(portal)
        return portal

    yield run
    for portal in started:
        if portal.process.poll() is None:
            portal.stop()
