"""How fast messages are accepted: over HTTP through gunicorn and in Python, one by one and in batches."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from statistics import median

from bench.engine import Portal
from bench.processes import BenchError, Child, free_port, run, wait_until
from bench.servers import Servers

IN_FLIGHT = 16
WAYS = (("HTTP, one by one", 1, 3_000), ("HTTP, batches of 1,000", 1_000, 40_000))


@dataclass(frozen=True)
class AcceptRate:
    """Accepted (committed) messages per second; range over the rounds."""

    way: str
    rate: float
    low: float
    high: float


def _summed(way: str, rates: list[float]) -> AcceptRate:
    return AcceptRate(way, median(rates), min(rates), max(rates))


class Web:
    """The web process as it is deployed: gunicorn with the portal's own configuration."""

    def __init__(self, portal: Portal) -> None:
        self.port = free_port()
        env = {**portal.env, "PORT": str(self.port), "HOST": "127.0.0.1"}
        command = [sys.executable, "-m", "gunicorn", "-c", "opsportal/gunicorn.conf.py", "opsportal.wsgi"]
        portal.manage("collectstatic", "--no-input", "-v", "0")
        self.child = Child("web", command, env)
        self.url = f"http://127.0.0.1:{self.port}"

    def wait(self) -> None:
        wait_until(self._answers, 30, "the web process")

    def _answers(self) -> bool:
        self.child.check()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        with suppress(OSError, HTTPException):
            connection.request("GET", "/health/live")
            return connection.getresponse().status < 500
        return False


def _over_http(servers: Servers, portal: Portal, rounds: int, scale: float) -> list[AcceptRate]:
    key = portal.manage("apikey", "create", "bench", "--scope", "messages:write", "--rate", "100000000", "--quiet")
    rates: dict[str, list[float]] = {way: [] for way, _, _ in WAYS}
    web = Web(portal)
    with web.child:
        web.wait()
        for _ in range(rounds):
            for way, batch, count in WAYS:
                portal.step("fill", servers.sink.url, "0", "64")
                sent = max(batch * IN_FLIGHT, int(count * scale) // batch * batch)
                rates[way].append(_post(portal, web.url, key.strip(), sent, batch))
    return [_summed(way, found) for way, found in rates.items()]


def _post(portal: Portal, url: str, key: str, count: int, batch: int) -> float:
    command = [sys.executable, "-m", "bench.poster", url, key, str(count), str(batch)]
    in_flight = IN_FLIGHT if batch == 1 else 4
    rate = float(run("bench.poster", [*command, str(in_flight)], portal.env).split()[-1])
    stored = portal.step("state")
    if stored["other"] != count:
        raise BenchError(f"{count} messages were accepted over HTTP, the outbox holds {stored}")
    return rate


def _in_python(servers: Servers, portal: Portal, rounds: int, scale: float) -> list[AcceptRate]:
    found = [portal.step("enqueue", servers.sink.url, str(int(4_000 * scale))) for _ in range(rounds)]
    return [
        _summed("Python, one by one", [rates["single"] for rates in found]),
        _summed("Python, batches of 1,000", [rates["batch"] for rates in found]),
    ]


def measure(servers: Servers, portal: Portal, rounds: int, scale: float) -> list[AcceptRate]:
    """All four ways on PostgreSQL, each message committed when it counts."""
    return _over_http(servers, portal, rounds, scale) + _in_python(servers, portal, rounds, scale)
