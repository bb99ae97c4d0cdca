"""dramatiq on Valkey with its own middleware: acknowledged, retried, no result kept."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.payload import BODY, wire_id
from bench.peers import blocking

broker = RedisBroker(url=blocking.CONFIG.broker or "redis://127.0.0.1:6379/0")
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name="deliver")
def deliver(identity: str, body: str) -> None:
    blocking.deliver(identity, body)


def fill(count: int) -> None:
    """One publish per message."""
    for number in range(count):
        deliver.send(wire_id(number), BODY)
