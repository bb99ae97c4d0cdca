"""The limit of this machine: an aiohttp loop that posts and forgets. `python -m bench.limit URL COUNT IN_FLIGHT`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import aiohttp

from bench.payload import BODY, headers, wire_id


async def _post_all(session: aiohttp.ClientSession, url: str, numbers: Iterator[int]) -> None:
    body = BODY.encode()
    for number in numbers:
        async with session.post(url, data=body, headers=headers(wire_id(number))) as response:
            response.raise_for_status()
            await response.read()


async def main(url: str, count: int, in_flight: int) -> None:
    """``in_flight`` loops share one counter, so none runs dry before the others."""
    numbers = iter(range(count))
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        await asyncio.gather(*(_post_all(session, url, numbers) for _ in range(in_flight)))
    # The run reads this process's CPU time after the last request, and then stops it.
    await asyncio.sleep(30)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
