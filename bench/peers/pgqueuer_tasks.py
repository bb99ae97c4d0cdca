"""pgqueuer on PostgreSQL through an asyncpg pool, its fastest driver: batched claim, batched completion."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta

import asyncpg
from pgqueuer import AsyncpgPoolDriver, Job, PgQueuer, Queries

from bench.payload import BODY, wire_id
from bench.peers.nonblocking import CONFIG, Deliverer

TAG = len(wire_id(0))


async def fill(count: int) -> None:
    """In batches of 1,000. The id travels in front of the body: a job has one payload."""
    async with asyncpg.create_pool(CONFIG.dsn, min_size=1, max_size=4) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        if await queries.schema_is_installed():
            await queries.uninstall()
        await queries.install()
        for start in range(0, count, 1000):
            payloads = [(wire_id(number) + BODY).encode() for number in range(start, min(start + 1000, count))]
            await queries.enqueue(["deliver"] * len(payloads), list(payloads), [0] * len(payloads))


async def work() -> None:
    async with (
        asyncpg.create_pool(CONFIG.dsn, min_size=2, max_size=CONFIG.number("pool", 8)) as pool,
        Deliverer() as deliverer,
    ):
        queuer = PgQueuer.from_asyncpg_pool(pool)

        @queuer.entrypoint("deliver")
        async def deliver(job: Job) -> None:
            payload = job.payload or b""
            await deliverer.deliver(payload[:TAG].decode(), payload[TAG:])

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, queuer.shutdown.set)
        await queuer.run(
            batch_size=CONFIG.number("batch", 200),
            max_concurrent_tasks=CONFIG.number("tasks", 0) or None,
            dequeue_timeout=timedelta(seconds=1),
        )
