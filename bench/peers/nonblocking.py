"""Delivery for the asynchronous peers: aiohttp as the engine uses it, one insert per message through asyncpg."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from types import TracebackType

import aiohttp
import asyncpg

from bench.payload import headers
from bench.peers import config
from bench.peers.attempt import INSERT_ASYNCPG

CONFIG = config.read()
WORKER = f"worker-{os.getpid()}"


class Deliverer:
    """One HTTP session and one database pool for the life of the worker; ``async with`` opens them."""

    async def __aenter__(self) -> Deliverer:
        connector = aiohttp.TCPConnector(limit=CONFIG.number("connections", 100))
        timeout = aiohttp.ClientTimeout(total=30)
        self.session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        size = CONFIG.number("record_pool", 8)
        self.pool = await asyncpg.create_pool(CONFIG.dsn, min_size=1, max_size=size) if CONFIG.record else None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()
        if self.pool:
            self.pool.terminate()

    async def deliver(self, wire_id: str, body: bytes) -> None:
        """Post one message and, in the second form, write down that it was tried. Raises on anything but 2xx."""
        started = datetime.now(UTC)
        async with self.session.post(CONFIG.url, data=body, headers=headers(wire_id)) as response:
            response.raise_for_status()
            text = await response.text()
        if self.pool:
            duration = int((datetime.now(UTC) - started).total_seconds() * 1000)
            await self.pool.execute(INSERT_ASYNCPG, wire_id, started, duration, WORKER, response.status, text)
