"""One measured drain: a full queue, a worker started, and what the sink and the CPUs saw of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

import psycopg

from bench.peers.specs import Setting
from bench.processes import BenchError, Child
from bench.servers import Servers

POLL_S = 0.1
STALL_S = 15.0


@dataclass(frozen=True)
class Sample:
    """One drain. Rates are messages per second, CPU is ms per 1,000 messages."""

    rate: float
    worker_cpu: float
    server_cpu: float
    unique: int
    duplicates: int
    problem: str = ""


@dataclass(frozen=True)
class Figure:
    """The rounds of one contender at one latency with its best setting."""

    name: str
    record: bool
    latency_ms: int
    setting: str
    samples: tuple[Sample, ...]

    @property
    def rate(self) -> float:
        return median(sample.rate for sample in self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        rates = [sample.rate for sample in self.samples]
        return min(rates), max(rates)

    @property
    def worker_cpu(self) -> float:
        return median(sample.worker_cpu for sample in self.samples)

    @property
    def server_cpu(self) -> float:
        return median(sample.server_cpu for sample in self.samples)

    @property
    def duplicates(self) -> int:
        return sum(sample.duplicates for sample in self.samples)

    @property
    def problems(self) -> list[str]:
        return sorted({sample.problem for sample in self.samples if sample.problem})


class Contender(Protocol):
    """Something that empties a full queue into the sink."""

    name: str
    record: bool

    def candidates(self, latency_ms: int) -> Sequence[Setting]: ...

    def messages(self, latency_ms: int) -> int: ...

    def prepare(self, servers: Servers, setting: Setting, count: int) -> None:
        """Fill the queue with ``count`` messages, as untouched as on the first run."""

    def start(self, servers: Servers, setting: Setting, count: int) -> Child: ...

    def problem(self, servers: Servers, count: int) -> str:
        """What is wrong after the drain (records missing, statuses wrong); empty when nothing is."""


@dataclass(frozen=True)
class Mark:
    """CPU and progress at one moment."""

    unique: int
    worker: float
    server: float


class Drain:
    """Watches one drain. CPU counts from a tenth of the messages on, so that start-up is not charged."""

    def __init__(self, servers: Servers, child: Child, count: int, cap_s: float) -> None:
        self.servers = servers
        self.child = child
        self.count = count
        self.cap_s = cap_s
        self.early: Mark | None = None
        self.stats: dict[str, Any] = {"unique": 0}

    def watch(self) -> Mark:
        """Poll the sink until all is there, ``cap_s`` has passed since the first, or nothing moves."""
        moved = time.monotonic()
        while not self._over(moved):
            time.sleep(POLL_S)
            before = self.stats["unique"]
            self.stats = self.servers.sink.stats()
            if self.stats["unique"] > before:
                moved = time.monotonic()
            if self.early is None and self.stats["unique"] >= self.count / 10:
                self.early = self._mark()
        return self._mark()

    def _over(self, moved: float) -> bool:
        now = time.monotonic()
        if self.stats["unique"] >= self.count:
            return True
        if now - moved > STALL_S:
            return True
        return bool(self.stats["unique"]) and now - self.stats["first"] > self.cap_s

    def _mark(self) -> Mark:
        return Mark(self.stats["unique"], self.child.cpu(), self.servers.cpu())


def _per_thousand(seconds: float, messages: int) -> float:
    return seconds * 1e6 / messages if messages > 0 else 0.0


def sample(drain: Drain, end: Mark, problem: str) -> Sample:
    """What a drain amounts to. The rate is from the first request to the last new id."""
    stats = drain.stats
    start = drain.early or Mark(0, 0.0, 0.0)
    done = end.unique - start.unique
    seconds = stats.get("last", 0) - stats.get("first", 0)
    return Sample(
        rate=(stats["unique"] - 1) / seconds if seconds > 0 else 0.0,
        worker_cpu=_per_thousand(end.worker - start.worker, done),
        server_cpu=_per_thousand(end.server - start.server, done),
        unique=stats["unique"],
        duplicates=int(stats.get("requests", 0)) - stats["unique"],
        problem=problem,
    )


def drain_once(
    contender: Contender, servers: Servers, setting: Setting, latency_ms: int, count: int, cap_s: float
) -> Sample:
    """Fill, start, watch, verify, stop. A contender that breaks is a sample with a problem, not the end of the run."""
    try:
        contender.prepare(servers, setting, count)
        servers.sink.reset(latency_ms)
        with contender.start(servers, setting, count) as child:
            drain = Drain(servers, child, count, cap_s)
            end = drain.watch()
            all_there = drain.stats["unique"] >= count
            problem = contender.problem(servers, count) if all_there else ""
            if not drain.stats["unique"]:
                problem = f"nothing arrived: {child.tail(3)}"
            # There is nothing left to save, and a polite stop takes seconds in some of them.
            child.stop(0)
        return sample(drain, end, problem)
    except (BenchError, psycopg.Error) as error:
        return Sample(0.0, 0.0, 0.0, 0, 0, str(error))


def best(samples: Sequence[tuple[Setting, Sample]]) -> Setting:
    """The setting with the highest rate among those that did what they should."""
    sound = [pair for pair in samples if not pair[1].problem] or list(samples)
    return max(sound, key=lambda pair: pair[1].rate)[0]
