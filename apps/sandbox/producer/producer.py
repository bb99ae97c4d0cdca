"""Posts what the shop has to say to the portal, as an application would: over its public API.

Every message made ends as accepted or refused, or is still waiting; the three add up at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import structlog

from apps.sandbox.producer.shop import Message, Shop
from apps.sandbox.producer.verdict import Kind, Verdict, judge, pause

log = structlog.get_logger(__name__)
TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
MAX_IN_FLIGHT: Final = 16
LATEST_START_S: Final = 1.0
LOOK_S: Final = 0.5
KEY_PAUSE_S: Final = 2.0


@dataclass
class Counts:
    made: int = 0
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    retries: int = 0

    @property
    def waiting(self) -> int:
        """Made, and neither accepted nor refused yet."""
        return self.made - self.accepted - self.refused


class Producer:
    """``rate`` in messages per second. ``read_key`` gives the API key, empty while there is none."""

    def __init__(
        self,
        portal_url: str,
        shop: Shop,
        *,
        rate: float,
        read_key: Callable[[], str],
        max_in_flight: int = MAX_IN_FLIGHT,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.portal_url = portal_url.rstrip("/")
        self.rate = rate
        self.counts = Counts()
        self.state = "waiting for the portal"
        self.problem = ""
        self._shop, self._read_key, self._chance = shop, read_key, chance
        self._room = asyncio.Semaphore(max_in_flight)
        self._jobs: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Post until cancelled."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            try:
                await self._wait_for_portal(session)
                await self._post_for_ever(session)
            finally:
                await self._give_up_jobs()
                log.info("producer.stopped", **self._figures())

    def status(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "problem": self.problem,
            "portal": self.portal_url,
            "rate": self.rate,
            **self._figures(),
        }

    def _figures(self) -> dict[str, int]:
        counts = self.counts
        names = ("made", "accepted", "duplicates", "refused", "waiting", "retries")
        return {name: getattr(counts, name) for name in names}

    # --- pace ---

    async def _wait_for_portal(self, session: aiohttp.ClientSession) -> None:
        """Until the portal answers anything at all and there is a key."""
        log.info("producer.waiting_for_portal", portal=self.portal_url)
        while not await self._answers(session):
            await asyncio.sleep(LOOK_S)
        self.state = "waiting for an API key"
        while not self._read_key():
            await asyncio.sleep(LOOK_S)
        self.state = "posting"
        log.info("producer.started", portal=self.portal_url, per_second=self.rate)

    async def _answers(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.portal_url}/health/live", allow_redirects=False):
                return True
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.problem = f"{self.portal_url} does not answer ({_named(error)})"
            return False

    async def _post_for_ever(self, session: aiohttp.ClientSession) -> None:
        self.problem = ""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            await asyncio.sleep(max(0.0, due - clock()))
            await self._room.acquire()
            job = self._shop.job()
            self.counts.made += len(job)
            task = asyncio.create_task(self._deliver(session, job))
            self._jobs.add(task)
            task.add_done_callback(self._finished)
            # Being held up is not made good by a burst afterwards.
            due = max(due + len(job) / self.rate, clock() - LATEST_START_S)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        self._room.release()
        if not task.cancelled() and task.exception() is not None:
            log.error("producer.job_crashed", exc_info=task.exception())

    async def _give_up_jobs(self) -> None:
        for job in self._jobs:
            job.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._jobs, return_exceptions=True)

    # --- one job ---

    async def _deliver(self, session: aiohttp.ClientSession, job: list[Message]) -> None:
        """Until the portal has said yes or no."""
        tries = 0
        while True:
            verdict = await self._post(session, job)
            if verdict.kind in (Kind.ACCEPTED, Kind.REFUSED):
                self._count(job, verdict)
                return
            self._note_trouble(verdict)
            wait = pause(tries, verdict.retry_after, self._chance())
            await asyncio.sleep(max(wait, KEY_PAUSE_S) if verdict.kind is Kind.KEY else wait)
            tries += 1
            self.counts.retries += 1

    async def _post(self, session: aiohttp.ClientSession, job: list[Message]) -> Verdict:
        path, body, key = _request(job)
        headers = {"Authorization": f"Bearer {self._read_key()}"} | ({"Idempotency-Key": key} if key else {})
        url = f"{self.portal_url}/api/v1/{path}"
        try:
            async with session.post(url, json=body, headers=headers, allow_redirects=False) as answer:
                try:
                    content = await answer.json(content_type=None)
                except ValueError:
                    content = None
                return judge(answer.status, answer.headers, content, len(job))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Verdict(Kind.AGAIN, f"{self.portal_url} does not answer ({_named(error)})")

    def _count(self, job: list[Message], verdict: Verdict) -> None:
        if self.counts.accepted == 0 and verdict.accepted:
            log.info("producer.first_accepted", portal=self.portal_url)
        self.counts.accepted += verdict.accepted
        self.counts.duplicates += verdict.duplicates
        self.counts.refused += verdict.refused
        if self.state != "posting":
            self.state, self.problem = "posting", ""
            log.info("producer.resumed", **self._figures())
        if verdict.refused:
            self.problem = f"Refused by the portal: {verdict.why}"
            log.warning("producer.refused", service=job[0]["service"], messages=verdict.refused, why=verdict.why)

    def _note_trouble(self, verdict: Verdict) -> None:
        state = "the portal refuses the API key" if verdict.kind is Kind.KEY else "trying again"
        if self.state != state:
            log.warning("producer.held_up", why=verdict.why, **self._figures())
        self.state, self.problem = state, verdict.why


def _request(job: list[Message]) -> tuple[str, Any, str]:
    """Path, body and Idempotency-Key header."""
    if len(job) > 1:
        return "messages/batch", {"messages": job}, ""
    message = dict(job[0])
    key = message.pop("idempotency_key")
    return "messages", message, key


def _named(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.os_error.errno) if error.os_error.errno else str(error.os_error)
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
