"""Several workers in one test, without threads: each has its breakers, its connection and an agent that is
turned by hand. The clock of the workers and that of the database move together, or apart when a test says so."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from django.db import OperationalError

from apps.breakers.agent import Agent
from apps.breakers.guard import Breaker
from apps.breakers.local import LocalBreaker
from apps.breakers.records import Lease, ProbeResult, Transition
from apps.breakers.runtime import Runtime
from apps.breakers.store import Store


@dataclass(slots=True)
class FlakyStore(Store):
    """The real store, behind a network that can be cut."""

    away: bool = False
    readonly: bool = False
    statements: int = 0

    def _check(self, statement: str) -> None:
        self.statements += 1
        reads = statement.lstrip().startswith(("SELECT", "WITH"))
        if self.away or (self.readonly and not reads):
            raise OperationalError("the network is cut")

    def _run(self, statement: str, values: Any = None) -> int:
        self._check(statement)
        return Store._run(self, statement, values)

    def _all(self, statement: str, values: Any) -> list[tuple[Any, ...]]:
        self._check(statement)
        return Store._all(self, statement, values)

    def _one(self, statement: str, values: Any) -> tuple[Any, ...] | None:
        self._check(statement)
        return Store._one(self, statement, values)


class Worker:
    """Stands in for a process. Its breakers are asked with :meth:`Breaker.reserve`, which never waits."""

    def __init__(self, name: str, world: World) -> None:
        self.name, self.world = name, world
        self.announced: list[Transition] = []
        self.locals: dict[str, LocalBreaker] = {}
        self.guards: dict[str, Breaker] = {}
        self.store = FlakyStore(name, host="test", pid=1, queue="test")
        rng = random.Random(name)
        self._agent = Agent(lambda: self.store, lambda: list(self.locals.values()), self.announced.append, rng=rng)
        self._agent.clock = world.clock

    # What a Breaker asks of its runtime.
    def get(self, name: str) -> LocalBreaker:
        rng = random.Random(f"{self.name}{name}")
        return self.locals.setdefault(name, LocalBreaker(name, self, self.world.clock, rng))

    def agent(self) -> Agent:
        return self._agent

    def wake(self) -> None:
        self._agent.wake()

    def ask(self, breaker: LocalBreaker) -> None:
        self._agent.ask(breaker)

    def settle(self, breaker: LocalBreaker, lease: Lease, result: ProbeResult) -> None:
        self._agent.settle(breaker, lease, result)

    def release(self, lease: Lease) -> None:
        self._agent.release(lease)

    # What a test does with it.
    def breaker(self, name: str) -> Breaker:
        if name not in self.guards:
            self.guards[name] = Breaker(name, cast(Runtime, self))
            self.sync()
        return self.guards[name]

    def sync(self) -> None:
        """As when the next sync is due."""
        self._agent._due = 0.0
        self.turn()

    def turn(self) -> None:
        """As when the thread wakes up: what is due, what was asked."""
        self._agent.turn(self.store)

    def calls(self, name: str, ok: int = 0, failures: int = 0, **how: Any) -> int:
        """So many calls; returns how many were let through."""
        guard = self.breaker(name)
        done = 0
        for success in [True] * ok + [False] * failures:
            reservation = guard.reserve(1)
            done += reservation.count
            if reservation.count and success:
                reservation.permit.success(how.get("seconds", 0.01))
            elif reservation.count:
                reservation.permit.failure(0.01, error_class=how.get("error_class", "http_503"), sample="42")
        return done

    def probe(self, name: str) -> Any:
        """Ask for a lease as the engine does: once in vain, and again when the agent has answered."""
        guard = self.breaker(name)
        first = guard.reserve(5)
        if first.count:
            return first
        self.turn()
        return guard.reserve(5)


@dataclass
class World:
    now: float = 50_000.0
    workers: list[Worker] = field(default_factory=list)
    database_ahead: float = 0.0

    def clock(self) -> float:
        return self.now

    def worker(self, name: str) -> Worker:
        worker = Worker(name, self)
        self.workers.append(worker)
        self._set_clocks()
        return worker

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self._set_clocks()

    def step_database_clock(self, seconds: float) -> None:
        self.database_ahead += seconds
        self._set_clocks()

    def _set_clocks(self) -> None:
        for worker in self.workers:
            worker.store.skew_ms = round((self.now - 50_000.0 + self.database_ahead) * 1000)

    def sync(self) -> None:
        for worker in self.workers:
            worker.sync()


@contextmanager
def world() -> Iterator[World]:
    made = World()
    try:
        yield made
    finally:
        for worker in made.workers:
            worker.store.close()
