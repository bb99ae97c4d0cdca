"""`python -m bench.peers fill MODULE COUNT` fills a peer's queue; `work MODULE` runs an asynchronous worker."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import time

import psycopg

from bench.peers import config
from bench.peers.attempt import TABLE


def _prepare_record() -> None:
    with psycopg.connect(config.read().dsn, autocommit=True) as connection:
        connection.execute(TABLE)


def fill(module: str, count: int) -> None:
    """Print how long the peer's own way to enqueue took, in seconds."""
    _prepare_record()
    peer = importlib.import_module(f"bench.peers.{module}")
    started = time.perf_counter()
    filled = peer.fill(count)
    if inspect.isawaitable(filled):
        asyncio.run(_await(filled))
    print(time.perf_counter() - started)


async def _await(awaitable: object) -> None:
    if inspect.isawaitable(awaitable):
        await awaitable


def work(module: str) -> None:
    peer = importlib.import_module(f"bench.peers.{module}")
    if config.read().options.get("uvloop"):
        import uvloop

        uvloop.run(peer.work())
    else:
        asyncio.run(peer.work())


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(sys.argv[2], int(sys.argv[3]))
    else:
        work(sys.argv[2])
