"""A portal for the tests of the producer: takes messages, remembers them, and fails when told to."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from apps.sandbox.listeners import HttpListener


class FakePortal:
    """``answers`` are given in turn before everything is accepted: a status, or (status, headers)."""

    def __init__(self, key: str = "secret-key") -> None:
        self.key = key
        self.answers: list[int | tuple[int, dict[str, str]]] = []
        self.accepted: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.seconds = 0.0
        self.listener = HttpListener(0, "portal", self._runner)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.port}"

    def _runner(self) -> web.AppRunner:
        app = web.Application()
        app.add_routes(
            [
                web.get("/health/live", self._live),
                web.post("/api/v1/messages", self._one),
                web.post("/api/v1/messages/batch", self._many),
            ]
        )
        return web.AppRunner(app, shutdown_timeout=0.1)

    async def _live(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _trouble(self, request: web.Request) -> web.Response | None:
        self.requests.append((request.path, request.headers.get("Idempotency-Key", "")))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(self.seconds)
        self.in_flight -= 1
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"code": "unauthorized", "message": "unknown key"}}, status=401)
        if self.answers:
            status = self.answers.pop(0)
            code, headers = status if isinstance(status, tuple) else (status, {})
            body = {"error": {"code": "trouble", "message": f"told to say {code}"}}
            return web.json_response(body, status=code, headers=headers)
        return None

    async def _one(self, request: web.Request) -> web.Response:
        if trouble := await self._trouble(request):
            return trouble
        key = request.headers["Idempotency-Key"]
        again = key in self.accepted
        self.accepted[key] = await request.json()
        headers = {"Idempotency-Replayed": "true"} if again else {}
        return web.json_response({"id": 1, "duplicate": again}, status=200 if again else 202, headers=headers)

    async def _many(self, request: web.Request) -> web.Response:
        if trouble := await self._trouble(request):
            return trouble
        items = (await request.json())["messages"]
        for item in items:
            self.accepted[item["idempotency_key"]] = item
        return web.json_response({"results": [{"duplicate": False} for _ in items]}, status=202)
