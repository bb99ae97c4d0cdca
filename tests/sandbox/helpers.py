"""What the tests of the sandbox share: a clock they set, and requests as the portal makes them."""

from __future__ import annotations

from typing import Any

import aiohttp

from apps.sandbox.server import SandboxServer

CHARGE: dict[str, Any] = {
    "payment_type": "bank_transfer",
    "transaction_details": {"order_id": "A-1", "gross_amount": 10_000},
}


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def quiet_sandbox(**options: Any) -> SandboxServer:
    """On free ports, and it does nothing by itself: tests call ``step()``."""
    return SandboxServer(**{"tick": 3600.0, **options})


async def post(url: str, key: str = "", body: Any = None, **headers: str) -> tuple[int, Any, Any]:
    """Status, body and headers of one POST on a connection of its own."""
    given = {"Idempotency-Key": key, **headers} if key else dict(headers)
    timeout = aiohttp.ClientTimeout(total=5)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, json=CHARGE if body is None else body, headers=given) as answer,
    ):
        return answer.status, await answer.json(), answer.headers
