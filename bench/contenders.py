"""The contenders that are not ours: the bare loop, and each peer in both forms."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.peers.config import Config
from bench.peers.specs import PEERS, Peer, Setting
from bench.processes import ROOT, Child, run
from bench.servers import PEERS_DATABASE, Servers

VENV = ROOT / "var" / "bench-venv"
LOCK = ROOT / "bench" / "requirements.txt"


def install_peers() -> None:
    """Make var/bench-venv what bench/requirements.txt says; nothing to do when it is already."""
    stamp = VENV / "installed-requirements.txt"
    if stamp.exists() and stamp.read_bytes() == LOCK.read_bytes():
        return
    print("Installing the peers into var/bench-venv", flush=True)
    if not program("python").exists():
        run("python -m venv", [sys.executable, "-m", "venv", str(VENV)])
    uv = Path(sys.executable).with_name("uv")
    install = [str(uv), "pip", "install", "--python", str(program("python"))]
    if not uv.exists():
        install = [str(program("python")), "-m", "pip", "install", "--disable-pip-version-check"]
    run("installing the peers", [*install, "-q", "--require-hashes", "-r", str(LOCK)])
    stamp.write_bytes(LOCK.read_bytes())


def program(name: str) -> Path:
    return VENV / "bin" / name


@dataclass
class Limit:
    """The bare aiohttp loop: no queue, no database, nothing to come back to after a crash."""

    name: str = "bare aiohttp loop"
    record: bool = False

    def candidates(self, latency_ms: int) -> Sequence[Setting]:
        counts = (1024, 512, 256) if latency_ms else (32, 16, 64, 128)
        return [Setting(f"{count} in flight", {"in_flight": count}) for count in counts]

    def messages(self, latency_ms: int) -> int:
        return 12_000 if latency_ms else 40_000

    def prepare(self, servers: Servers, setting: Setting, count: int) -> None:
        """The loop makes its messages itself."""

    def start(self, servers: Servers, setting: Setting, count: int) -> Child:
        in_flight = str(setting.options["in_flight"])
        return Child("limit", [sys.executable, "-m", "bench.limit", servers.sink.url, str(count), in_flight])

    def problem(self, servers: Servers, count: int) -> str:
        return ""


@dataclass
class PeerContender:
    """One peer, as it comes or writing the attempt record."""

    peer: Peer
    record: bool

    def __post_init__(self) -> None:
        self.name = self.peer.name
        self.enqueued_per_second: list[float] = []

    def candidates(self, latency_ms: int) -> Sequence[Setting]:
        return self.peer.sweep[latency_ms]

    def messages(self, latency_ms: int) -> int:
        return self.peer.messages[latency_ms]

    def _config(self, servers: Servers, setting: Setting) -> Config:
        config = Config(servers.sink.url, servers.postgres.dsn(PEERS_DATABASE), servers.valkey.url, self.record)
        return replace(config, options=setting.options)

    def prepare(self, servers: Servers, setting: Setting, count: int) -> None:
        servers.valkey.flush()
        env = self._config(servers, setting).environment()
        command = [str(program("python")), "-m", "bench.peers", "fill", self.peer.module, str(count)]
        seconds = float(run(f"filling {self.name}", command, env, 120).split()[-1])
        self.enqueued_per_second.append(count / seconds)
        servers.postgres.settle_down(PEERS_DATABASE)

    def start(self, servers: Servers, setting: Setting, count: int) -> Child:
        first, *rest = self.peer.command(setting)
        return Child(self.peer.module, [str(program(first)), *rest], self._config(servers, setting).environment())

    def problem(self, servers: Servers, count: int) -> str:
        """In the second form every message must have its record, at most 5 s after its request."""
        deadline = time.monotonic() + 5
        found = count if not self.record else self._records(servers)
        while found < count and time.monotonic() < deadline:
            time.sleep(0.1)
            found = self._records(servers)
        return "" if found >= count else f"{count - found} of {count} attempt records are missing"

    def _records(self, servers: Servers) -> int:
        rows = servers.postgres.execute("select count(distinct message) from peer_attempt", PEERS_DATABASE)
        return int(rows[0][0])


def peer_contenders() -> list[PeerContender]:
    """Every peer in both forms."""
    return [PeerContender(peer, record) for peer in PEERS for record in (False, True)]
