"""Settling beside claiming: finished attempts gather here and are written in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError

from apps.outbox.delivery.outcome import Settlement

log = structlog.get_logger(__name__)

DATABASE_ERRORS: Final = (DatabaseError, InterfaceError)
DATABASE_PAUSE_S: Final = (0.1, 0.25, 0.5, 1.0)
GATHER_S: Final = 0.005
BATCH: Final = 512


def pause_after(troubles: int) -> float:
    """Seconds to leave the database alone after ``troubles`` failures in a row."""
    return DATABASE_PAUSE_S[min(troubles, len(DATABASE_PAUSE_S) - 1)]


@dataclass(slots=True)
class Settler:
    """``write`` settles a batch in the database. A batch it cannot write stays here and is tried again:
    an answer of a provider is never thrown away, and the message is not sent again because of it."""

    write: Callable[[Sequence[Settlement]], Awaitable[None]]
    waiting: list[Settlement] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _full: asyncio.Event = field(default_factory=asyncio.Event)
    _ending: bool = False

    def add(self, item: Settlement) -> None:
        self.waiting.append(item)
        if len(self.waiting) == 1:
            self._arrived.set()
        elif len(self.waiting) >= BATCH:
            self._full.set()

    async def run(self) -> None:
        """Write batches until :meth:`end`, then what is left."""
        troubles = 0
        while self.waiting or not self._ending:
            await self._gather()
            try:
                await self._write_batch()
                troubles = 0
            except DATABASE_ERRORS as error:
                pause = pause_after(troubles)
                troubles += 1
                log.warning(
                    "settle.database_away", error=str(error).strip(), next_try_s=pause, unsettled=len(self.waiting)
                )
                if self._ending and troubles > len(DATABASE_PAUSE_S):
                    log.error("settle.given_up", messages=len(self.waiting), effect="leases end, they are sent again")
                    return
                await asyncio.sleep(pause)

    def end(self) -> None:
        self._ending = True
        self._arrived.set()
        self._full.set()

    async def _gather(self) -> None:
        """Wait for the first answer, then a moment for those that come together with it."""
        if not self.waiting and not self._ending:
            self._arrived.clear()
            await self._arrived.wait()
        if len(self.waiting) < BATCH and not self._ending:
            self._full.clear()
            try:
                async with asyncio.timeout(GATHER_S):
                    await self._full.wait()
            except TimeoutError:
                return

    async def _write_batch(self) -> None:
        batch, self.waiting = self.waiting[:BATCH], self.waiting[BATCH:]
        if not batch:
            return
        try:
            await self.write(batch)
        except BaseException:
            self.waiting[:0] = batch
            raise
