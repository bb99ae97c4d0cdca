"""A sandbox in a thread of its own, for tests and programs that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Final, Self, TypeVar

from apps.sandbox.ledger import Ledger
from apps.sandbox.outages import Outage
from apps.sandbox.server import SandboxServer

T = TypeVar("T")
PATIENCE_S: Final = 10.0


class ThreadedSandbox:
    """The same as :class:`SandboxServer`, callable from any thread::

    with ThreadedSandbox(seed=7) as sandbox:
        sandbox.start_outage("smtp", "refuse", seconds=30)
    """

    def __init__(self, **options: Any) -> None:
        """``options`` are those of :class:`SandboxServer`."""
        self.server = SandboxServer(**options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._wait_for(self.server.start())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._wait_for(self.server.stop())
        finally:
            self._end()

    def url(self, name: str) -> str:
        return self.server.url(name)

    def port(self, name: str) -> int:
        return self.server.port(name)

    def received(self, name: str) -> Ledger:
        """Live: read it when what you wait for has happened."""
        return self.server.received(name)

    def start_outage(self, name: str, mode: str, **options: Any) -> Outage:
        return self._wait_for(self.server.start_outage(name, mode, **options))

    def end_outage(self, name: str, mode: str | None = None) -> list[Outage]:
        return self._wait_for(self.server.end_outage(name, mode))

    def set_mix(self, name: str, **shares: float) -> None:
        async def on_the_loop() -> None:
            self.server.set_mix(name, **shares)

        self._wait_for(on_the_loop())

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()
