"""A provider for tests: a real HTTP server on loopback, in a thread of its own, that misbehaves as told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

# Given the key and how often it came before, tells (status, seconds to wait before answering).
Script = Callable[[str, int], tuple[int, float]]


def always_ok(key: str, times: int) -> tuple[int, float]:
    return 200, 0.0


@dataclass
class Provider:
    """``succeeded`` and ``received`` count by Idempotency-Key; ``arrivals`` is (time, key, body, tenant)."""

    script: Script = always_ok
    keep: bool = False
    received: Counter[str] = field(default_factory=Counter)
    succeeded: Counter[str] = field(default_factory=Counter)
    arrivals: list[tuple[float, str, str, str]] = field(default_factory=list)
    order: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    at_once: int = 0
    most_at_once: int = 0
    port: int = 0
    _loop: asyncio.AbstractEventLoop | None = None
    _stop: asyncio.Event | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def __enter__(self) -> Provider:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: Any) -> None:
        assert self._loop is not None
        assert self._stop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        application = web.Application(client_max_size=32 * 1024 * 1024)
        application.router.add_post("/hook", self._answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        self.port = runner.addresses[0][1]
        ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        body = (await request.read()).decode()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._scripted(request, key, body)
        finally:
            self.at_once -= 1

    async def _scripted(self, request: web.Request, key: str, body: str) -> web.Response:
        status, seconds = self.script(key, self.received[key])
        self.received[key] += 1
        if self.keep:
            self.arrivals.append((time.time(), key, body, request.headers.get("X-Tenant-ID", "")))
        if seconds:
            await asyncio.sleep(seconds)
        if status < 300:
            self.succeeded[key] += 1
            self.order[request.headers.get("X-Key", "")].append(body)
        return web.Response(status=status, text="ok" if status < 300 else "no")
