"""Posts to the API and prints accepted messages per second: `python -m bench.poster URL KEY COUNT BATCH IN_FLIGHT`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator

import aiohttp

from bench.payload import BODY, CONTENT_TYPE
from bench.portal import SERVICE

MESSAGE = {"service": SERVICE, "payload": BODY, "content_type": CONTENT_TYPE}


def request(batch: int) -> tuple[str, bytes]:
    """Path and body of one request that carries ``batch`` messages."""
    if batch == 1:
        return "/api/v1/messages", json.dumps(MESSAGE).encode()
    return "/api/v1/messages/batch", json.dumps({"messages": [MESSAGE] * batch}).encode()


async def _post(session: aiohttp.ClientSession, url: str, body: bytes, numbers: Iterator[int]) -> None:
    for _ in numbers:
        async with session.post(url, data=body) as response:
            text = await response.text()
            if response.status not in (200, 202, 207):
                raise SystemExit(f"the API answered {response.status}: {text[:500]}")


async def main(url: str, key: str, count: int, batch: int, in_flight: int) -> None:
    path, body = request(batch)
    numbers = iter(range(count // batch))
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=60)) as session:
        started = time.perf_counter()
        await asyncio.gather(*(_post(session, url + path, body, numbers) for _ in range(in_flight)))
        print(count / (time.perf_counter() - started))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], *(int(word) for word in sys.argv[3:])))
