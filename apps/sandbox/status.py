"""The whole state of a sandbox as plain data: for the JSON API, the command line and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apps.sandbox.outages import Outage
from apps.sandbox.stations import Station

if TYPE_CHECKING:
    from apps.sandbox.server import SandboxServer


def of(sandbox: SandboxServer) -> dict[str, Any]:
    now = sandbox.clock()
    return {
        "page": sandbox.page_url,
        "portal": sandbox.portal_url,
        "providers": [_station(station, now) for station in sandbox.stations.values()],
        "script": _script(sandbox, now),
        "producer": sandbox.producer.status() if sandbox.producer else None,
    }


def _station(station: Station, now: float) -> dict[str, Any]:
    return {
        "name": station.name,
        "title": station.title,
        "endpoint": station.endpoint,
        "address": station.address,
        "listening": station.listener.is_open,
        "modes": [mode.value for mode in station.modes],
        "outages": [_outage(outage, now) for outage in station.outages.on(now)],
        **station.ledger.summary(),
    }


def _outage(outage: Outage, now: float) -> dict[str, Any]:
    left = outage.remaining(now)
    return {
        "mode": outage.mode.value,
        "share": outage.share,
        "delay": outage.delay,
        "status": outage.status,
        "by": outage.by,
        "since_seconds": round(now - outage.began, 1),
        "remaining_seconds": None if left is None else round(left, 1),
    }


def _script(sandbox: SandboxServer, now: float) -> dict[str, Any]:
    coming = sandbox.player.next(now)
    return {
        "on": sandbox.script_wanted,
        "playing": sandbox.player.is_on,
        "loop_seconds": sandbox.player.loop,
        "next": None
        if coming is None
        else {
            "provider": coming.step.provider,
            "mode": coming.step.mode.value,
            "in_seconds": round(coming.seconds, 1),
            "for_seconds": coming.step.seconds,
            "shows": coming.step.shows,
        },
    }
