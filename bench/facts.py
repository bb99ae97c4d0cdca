"""What the figures depend on: the machine and the versions."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.contenders import program
from bench.peers.specs import PEERS
from bench.processes import run
from bench.servers import Servers

OURS = ("Django", "celery", "aiohttp", "psycopg", "gunicorn")
PEER_PACKAGES = (*(peer.package for peer in PEERS), "requests", "aiohttp", "asyncpg", "psycopg")
GUARDS = ("pybreaker", "circuitbreaker", "interlock-cb")


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def memory() -> str:
    kibibytes = int(Path("/proc/meminfo").read_text().split()[1])
    return f"{kibibytes / 1024 / 1024:.0f} GiB"


def _peer_versions() -> str:
    names = json.dumps([*PEER_PACKAGES, *GUARDS])
    code = f"from importlib.metadata import version; print(', '.join(f'{{n}} {{version(n)}}' for n in {names}))"
    return run("versions", [str(program("python")), "-c", code]).strip()


def collect(servers: Servers) -> list[tuple[str, str]]:
    """Rows of (what, value)."""
    postgres = ", ".join(f"{name} {value}" for name, value in servers.postgres.facts().items())
    load = os.getloadavg()[0]
    return [
        ("measured", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load before the run {load:.2f}"),
        ("processor", f"{processor()}, {len(os.sched_getaffinity(0))} cores usable"),
        ("memory", memory()),
        ("system", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"),
        ("PostgreSQL", postgres.removeprefix("server_version ")),
        ("Valkey", f"{servers.valkey.version()}, append-only file synced every second"),
        ("ours", ", ".join(f"{name} {version(name)}" for name in OURS)),
        ("peers", _peer_versions()),
    ]
