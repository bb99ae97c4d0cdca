"""procrastinate on PostgreSQL: one asynchronous worker, one query to fetch and one to finish each job."""

from __future__ import annotations

import procrastinate

from bench.payload import BODY, wire_id
from bench.peers.nonblocking import CONFIG, Deliverer

POOL = CONFIG.number("pool", 10)
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=CONFIG.dsn, min_size=1, max_size=POOL))
_deliverer = Deliverer()


@app.task(name="deliver")
async def deliver(identity: str, body: str) -> None:
    await _deliverer.deliver(identity, body.encode())


async def fill(count: int) -> None:
    """In batches of 1,000, the fastest way it has."""
    async with app.open_async():
        connector = app.connector
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        await connector.execute_query_async("truncate procrastinate_jobs restart identity cascade")
        for start in range(0, count, 1000):
            numbers = range(start, min(start + 1000, count))
            await deliver.batch_defer_async(*({"identity": wire_id(number), "body": BODY} for number in numbers))


async def work() -> None:
    async with _deliverer, app.open_async():
        await app.run_worker_async(
            concurrency=CONFIG.number("concurrency", 32),
            delete_jobs=str(CONFIG.options.get("delete_jobs", "never")),
            shutdown_graceful_timeout=2,
        )
