"""Stand-ins for the network and the breaker, so that the engine is tested without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from apps.channels.base import Envelope, Receipt
from apps.outbox.delivery.lanes import Lane, LaneConfig
from apps.outbox.delivery.store import Store

Behaviour = Callable[[Envelope], Awaitable[Receipt]]


async def accept(envelope: Envelope) -> Receipt:
    """A provider that takes everything at once."""
    return Receipt(200, "ok")


@dataclass
class FakeChannel:
    behaviour: Behaviour
    sent: list[Envelope] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def send(self, envelope: Envelope) -> Receipt:
        self.sent.append(envelope)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            return await self.behaviour(envelope)
        finally:
            self.at_once -= 1

    async def close(self) -> None:
        return None


@dataclass
class FakePermit:
    calls: list[str]

    def success(self, seconds: float) -> None:
        self.calls.append("success")

    def failure(self, seconds: float, *, timed_out: bool = False, error_class: str = "", sample: str = "") -> None:
        self.calls.append("failure")

    def ignore(self) -> None:
        self.calls.append("ignore")


@dataclass
class FakeReservation:
    count: int
    permit: FakePermit
    released: list[int]

    def release(self, unused: int) -> None:
        self.released.append(unused)


@dataclass
class FakeBreaker:
    """``allowed`` permits per reservation; 0 is an open breaker."""

    allowed: int = 10_000
    calls: list[str] = field(default_factory=list)
    released: list[int] = field(default_factory=list)

    def reserve(self, n: int) -> FakeReservation:
        return FakeReservation(min(n, self.allowed), FakePermit(self.calls), self.released)

    def retry_after(self) -> float | None:
        return None if self.allowed else 0.01


@dataclass(slots=True)
class FakeStore(Store):
    """The real database work, with channels and breakers of the test."""

    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    channels: dict[str, FakeChannel] = field(default_factory=dict)
    breakers: dict[str, FakeBreaker] = field(default_factory=dict)

    def open_lane(self, config: LaneConfig) -> Lane:
        channel = FakeChannel(self.behaviours.get(config.service, accept))
        self.channels[config.service] = channel
        fake: Any = self.breakers.setdefault(config.service, FakeBreaker())
        return Lane(config, channel, fake)
