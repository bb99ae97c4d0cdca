"""Runs a provider over HTTP: asks its outages what happens to a request, writes it down, answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

from aiohttp import web

from apps.sandbox.ledger import Ledger, Outcome
from apps.sandbox.listeners import GRACE_S
from apps.sandbox.outages import Fate, Mode, Outages
from apps.sandbox.providers.base import Answer, HttpProvider, Incoming, outage_answer
from apps.sandbox.signatures import NOT_CHECKED

MAX_BYTES: Final = 10 * 1024 * 1024
_OUTCOMES: Final = {
    Mode.ERRORS: Outcome.FAILED,
    Mode.RATE_LIMIT: Outcome.RATE_LIMITED,
    Mode.REJECT: Outcome.REJECTED,
    Mode.GONE: Outcome.GONE,
    Mode.HANG: Outcome.HUNG,
}


class WebProvider:
    """What is accepted is booked before the answer leaves, as a real provider does: an answer that
    comes too late for the caller makes the next attempt a duplicate."""

    def __init__(
        self,
        provider: HttpProvider,
        outages: Outages,
        ledger: Ledger,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self.provider, self.outages, self.ledger, self.clock, self.now = provider, outages, ledger, clock, now

    def runner(self) -> web.ServerRunner:
        """A handler stops when its caller has gone: a hung request must not outlive who waited for it."""
        server = web.Server(self.handle, handler_cancellation=True, access_log=None)
        return web.ServerRunner(server, shutdown_timeout=GRACE_S)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET" and request.path == "/health":
            return await self._health()
        body = await self._body(request)
        if body is None:
            return web.json_response({"error": f"The body is larger than {MAX_BYTES} bytes."}, status=413)
        incoming = Incoming(request.method, request.path, request.headers, body, self.now().timestamp())
        if not self.provider.takes(incoming):
            return self._elsewhere(request)
        return await self._serve(incoming)

    async def _serve(self, incoming: Incoming) -> web.StreamResponse:
        key = self.provider.key(incoming)
        turn = self.ledger.turn(key)
        fate = self.outages.fate(key, turn, self.clock())
        answer, outcome = self._decide(incoming, key, fate)
        self._note(incoming, key, turn, fate, answer, outcome)
        await asyncio.sleep(fate.wait)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)

    def _decide(self, incoming: Incoming, key: str, fate: Fate) -> tuple[Answer, Outcome]:
        if fate.mode in (None, Mode.SLOW):
            answer = self.provider.answer(incoming)
            return answer, self.ledger.book(key) if answer.is_success else Outcome.REJECTED
        if fate.mode is Mode.HANG:
            return Answer(504, {"error": "Nobody waited this long."}, "no answer"), Outcome.HUNG
        return outage_answer(self.provider, incoming, fate), _OUTCOMES[fate.mode]

    def _note(self, incoming: Incoming, key: str, turn: int, fate: Fate, answer: Answer, outcome: Outcome) -> None:
        verdict = self.provider.signature(incoming)
        if verdict:
            self.ledger.signatures[verdict] += 1
        late = f"after {fate.wait:g} s" if fate.wait and outcome is not Outcome.HUNG else ""
        signed = f"signature {verdict}" if verdict and answer.is_success and verdict != NOT_CHECKED else ""
        note = " · ".join(part for part in (answer.note, late, signed) if part)
        shown = "–" if outcome is Outcome.HUNG else str(answer.status)
        excerpt = self.provider.excerpt(incoming)
        self.ledger.write(self.now(), key, turn, outcome, answer=shown, note=note, excerpt=excerpt)

    async def _health(self) -> web.StreamResponse:
        """What a probe sees: down when every request fails anyway."""
        on = [outage for outage in self.outages.on(self.clock()) if outage.share >= 0.5]
        wait = max((one.delay for one in on if one.mode in (Mode.SLOW, Mode.HANG)), default=0.0)
        await asyncio.sleep(wait)
        down = any(one.mode is Mode.ERRORS for one in on)
        return web.json_response({"status": "down" if down else "up"}, status=503 if down else 200)

    def _elsewhere(self, request: web.BaseRequest) -> web.StreamResponse:
        text = f"This is the sandbox's {self.provider.name}. It plays {self.provider.endpoint} and GET /health."
        return web.json_response({"error": text, "path": request.path}, status=404)

    @staticmethod
    async def _body(request: web.BaseRequest) -> bytes | None:
        if (request.content_length or 0) > MAX_BYTES:
            return None
        parts: list[bytes] = []
        size = 0
        async for part in request.content.iter_any():
            size += len(part)
            if size > MAX_BYTES:
                return None
            parts.append(part)
        return b"".join(parts)
