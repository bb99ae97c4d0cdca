"""The sandbox: all providers in one event loop, with their outages, their script and the page.

In a test::

    async with SandboxServer(seed=7) as sandbox:
        sandbox.set_mix("midtrans", errors=0.10, hang=0.05, reject=0.02)
        ...  # deliver to sandbox.url("midtrans")
        assert sandbox.received("midtrans").succeeded == expected_keys

From code that is not asynchronous, or to keep it apart from the code under test, see
:class:`apps.sandbox.threaded.ThreadedSandbox`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Self

import structlog

from apps.core import clock as core_clock
from apps.core.errors import Invalid
from apps.sandbox import status
from apps.sandbox.control import Control
from apps.sandbox.ledger import MAX_KEYS, Ledger
from apps.sandbox.listeners import HttpListener, PortTaken
from apps.sandbox.outages import Mode, Outage, plan
from apps.sandbox.producer.producer import Producer
from apps.sandbox.script import Player, Step
from apps.sandbox.stations import PAGE_OFFSET, Station, Surroundings, build, find

log = structlog.get_logger(__name__)
TICK_S: Final = 0.2
PATHS: Final = {
    "midtrans": "/v2/charge",
    "whatsapp": "",
    "billing-webhook": "/hooks/billing",
    "smtp": "",
    "slack": "/api",
    "pagerduty": "",
}


class SandboxServer:
    """``base_port`` 0 takes free ports; otherwise the page gets it and the providers the next ones.

    ``secrets`` (provider to secret) lets a provider check what it is sent. ``clock`` is in seconds.
    """

    def __init__(
        self,
        *,
        base_port: int = 0,
        seed: int = 0,
        secrets: Mapping[str, str] | None = None,
        player: Player | None = None,
        producer: Producer | None = None,
        portal_url: str = "",
        max_keys: int = MAX_KEYS,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = core_clock.now,
        tick: float = TICK_S,
    ) -> None:
        self.clock, self.now, self.tick = clock, now, tick
        self.portal_url = portal_url
        self.player = player or Player()
        self.script_wanted = False
        self.producer = producer
        self.stations = build(Surroundings(clock, now, seed, max_keys, base_port, secrets or {}))
        self.control = Control(self)
        self.page = HttpListener(base_port + PAGE_OFFSET if base_port else 0, "page", self.control.runner)
        self._ticking: asyncio.Task[None] | None = None

    async def start(self) -> Self:
        """Open every port; raises :class:`PortTaken` and leaves none open."""
        try:
            for listener in (self.page, *(station.listener for station in self.stations.values())):
                await listener.open()
        except PortTaken:
            await self._close_all()
            raise
        self._ticking = asyncio.create_task(self._tick_for_ever())
        log.info("sandbox.started", page=self.page_url, **{name: one.address for name, one in self.stations.items()})
        return self

    async def stop(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
            self._ticking = None
        await self._close_all()
        log.info("sandbox.stopped", **{name: station.ledger.total for name, station in self.stations.items()})

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # --- where things are and what came in ---

    @property
    def page_url(self) -> str:
        return f"http://127.0.0.1:{self.page.port}/"

    def station(self, name: str) -> Station:
        return find(self.stations, name)

    def port(self, name: str) -> int:
        return self.station(name).listener.port

    def url(self, name: str) -> str:
        """The endpoint of a provider; for whatsapp, slack and pagerduty the base URL, for smtp smtp://host:port."""
        return self.station(name).address + PATHS[name]

    def received(self, name: str) -> Ledger:
        return self.station(name).ledger

    def status(self) -> dict[str, Any]:
        return status.of(self)

    # --- outages ---

    async def start_outage(self, name: str, mode: str, *, by: str = "hand", **options: Any) -> Outage:
        """``options``: share, seconds, delay, status. Raises :class:`Invalid`, :class:`NotFound`."""
        station = self.station(name)
        outage = plan(mode, now=self.clock(), http=station.is_http, by=by, **options)
        if by == "hand":
            station.outages.end(by="script")  # a person's hand counts for more than the script
        station.outages.start(outage)
        log.info("sandbox.outage_started", provider=name, mode=outage.mode.value, share=outage.share, by=by)
        await self._fit(station)
        return outage

    async def end_outage(self, name: str, mode: str | None = None) -> list[Outage]:
        """End one mode or all; returns what was on. Raises :class:`Invalid`, :class:`NotFound`."""
        station = self.station(name)
        if mode is not None and mode not in station.modes:
            raise Invalid.field("mode", f"{mode!r} is not one of {', '.join(station.modes)}")
        ended = station.outages.end(None if mode is None else Mode(mode))
        self._log_ended(station, ended)
        await self._fit(station)
        return ended

    def set_mix(self, name: str, **shares: float) -> None:
        """A lasting mix of failures for tests, e.g. ``errors=0.1, hang=0.05, reject=0.02``.

        Raises :class:`Invalid`. Without shares everything is well again.
        """
        station = self.station(name)
        station.outages.end()
        for mode, share in shares.items():
            station.outages.start(plan(mode, now=self.clock(), http=station.is_http, share=share, by="mix"))

    async def set_script(self, on: bool) -> None:
        """Turning it off ends what the script has started."""
        self.script_wanted = on
        if on:
            self.player.begin(self.clock())
            return
        self.player.stop()
        for station in self.stations.values():
            self._log_ended(station, station.outages.end(by="script"))
            await self._fit(station)

    # --- what happens by itself ---

    async def step(self) -> None:
        """Bring everything up to the clock: the script, outages that are over, sockets."""
        now = self.clock()
        for station in self.stations.values():
            self._log_ended(station, station.outages.expire(now))
        for due in self.player.due(now):
            await self._play(due)
        for station in self.stations.values():
            await self._fit(station)

    async def _tick_for_ever(self) -> None:
        while True:
            await self.wake()
            await asyncio.sleep(self.tick)

    async def wake(self) -> None:
        """What every tick does."""
        self._begin_script_when_there_is_traffic()
        await self.step()

    def _begin_script_when_there_is_traffic(self) -> None:
        """The first minute of the script is for watching: it begins with the first message that arrives."""
        if self.script_wanted and not self.player.is_on and any(one.ledger.total for one in self.stations.values()):
            self.player.begin(self.clock())
            log.info("sandbox.script_began", loop_seconds=self.player.loop)

    async def _play(self, due: Step) -> None:
        station = self.station(due.provider)
        if any(outage.by == "hand" for outage in station.outages.on(self.clock())):
            log.info("sandbox.script_skipped", provider=due.provider, mode=due.mode.value, why="outage by hand")
            return
        await self.start_outage(
            due.provider, due.mode, by="script", share=due.share, seconds=due.seconds, delay=due.delay
        )

    async def _fit(self, station: Station) -> None:
        """The socket is closed while a provider refuses, and open otherwise."""
        async with station.moving:
            refusing = station.outages.is_refusing(self.clock())
            if refusing and station.listener.is_open:
                await station.listener.close()
            elif not refusing and not station.listener.is_open:
                await self._reopen(station)

    async def _reopen(self, station: Station) -> None:
        try:
            await station.listener.open()
        except PortTaken as error:  # tried again with the next tick
            log.error("sandbox.port_lost", provider=station.name, why=error.message)

    def _log_ended(self, station: Station, ended: list[Outage]) -> None:
        for outage in ended:
            log.info("sandbox.outage_ended", provider=station.name, mode=outage.mode.value, by=outage.by)

    async def _close_all(self) -> None:
        await asyncio.gather(self.page.close(), *(station.listener.close() for station in self.stations.values()))
