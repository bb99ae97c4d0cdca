"""huey on Valkey: no acknowledgement (a killed worker loses its task), no result kept."""

from __future__ import annotations

from bench.peers import config

if config.read().options.get("kind") == "greenlet":
    from gevent import monkey

    monkey.patch_all()

from huey import RedisHuey

from bench.payload import BODY, wire_id
from bench.peers import blocking

huey = RedisHuey("bench", url=blocking.CONFIG.broker or "redis://127.0.0.1:6379/0", results=False)


@huey.task()
def deliver(identity: str, body: str) -> None:
    blocking.deliver(identity, body)


def fill(count: int) -> None:
    """One publish per message."""
    for number in range(count):
        deliver(wire_id(number), BODY)
