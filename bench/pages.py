"""`make bench-pages`: how long each page takes with a month of use behind it, beside the portal's own empty one.

Two installations on one PostgreSQL, each served by gunicorn as in production, are asked in turns over kept-alive
connections by a person of role lead. python -m bench.pages [--requests N]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from statistics import median, quantiles
from types import FrameType

from bench.facts import OURS, memory, processor
from bench.processes import ROOT, WORK, BenchError, Child, free_port, run, wait_until
from bench.servers import Servers, started

PAGE = ROOT / "docs" / "reference" / "page-benchmarks.md"
REQUESTS = 50
WARM_UP = 3
# What is searched for, so that searches count as pages too.
SEARCHES = (
    "/outbox?q=order-4711",
    "/outbox?q=customer-8888",
    "/outbox?status=dlq&service=midtrans",
    "/outbox?since=24h",
    "/find?q=order-4711",
)


class Site:
    """One installation: its database, its cache, its web process."""

    def __init__(self, servers: Servers, name: str, number: int) -> None:
        self.name = name
        self.folder = WORK / f"pages-{name}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        broker = servers.valkey.url.removesuffix("/0")
        self.port = free_port()
        self.env = {
            "DATA_DIR": str(self.folder),
            "DATABASE_URL": servers.postgres.dsn(name),
            "BROKER_URL": f"{broker}/{number}",
            "CACHE_URL": f"{broker}/{number + 1}",
            "SECRET_KEY": "a-key-of-the-benchmark-that-guards-nothing-at-all-0123456789",
            "PORT": str(self.port),
            "HOST": "127.0.0.1",
            "LOG_LEVEL": "error",
            "ENV_FILE": "",
        }
        servers.postgres.create(name)
        self._manage("migrate", "--no-input", "-v", "0")
        self._manage("collectstatic", "--no-input", "-v", "0")

    def _manage(self, *words: str) -> None:
        run(f"manage.py {words[0]}", [sys.executable, "manage.py", *words], self.env)

    def step(self, *words: str) -> str:
        """A step of this module inside the portal's own code."""
        return run(f"bench.pages {words[0]}", [sys.executable, "-m", "bench.pages", "--step", *words], self.env)

    def serve(self) -> Child:
        command = [sys.executable, "-m", "gunicorn", "-c", "opsportal/gunicorn.conf.py", "opsportal.wsgi"]
        child = Child(f"web-{self.name}", command, self.env)
        wait_until(lambda: self._answers(child), 30, f"the web process of {self.name}")
        return child

    def _answers(self, child: Child) -> bool:
        child.check()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        with suppress(OSError, HTTPException):
            connection.request("GET", "/health/live")
            return connection.getresponse().status == 200
        return False


@dataclass
class Visitor:
    """A person's browser, as far as time is concerned: one connection, one cookie."""

    site: Site
    cookie: str
    known: dict[str, str]
    connection: HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = HTTPConnection("127.0.0.1", self.site.port, timeout=60)

    def path(self, name: str) -> str:
        return name.format(**self.known)

    def get(self, path: str) -> float:
        """Seconds from the request to the last byte. Raises BenchError for anything but a page."""
        begun = time.perf_counter()
        self.connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = self.connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise BenchError(f"{path} of {self.site.name} answered {answer.status}")
        return time.perf_counter() - begun


@dataclass(frozen=True)
class Times:
    """Of one page on both installations, in ms."""

    path: str
    empty: tuple[float, float]
    full: tuple[float, float]

    @property
    def ratio(self) -> float:
        return self.full[1] / self.empty[1]


def _p50_p95(seconds: Sequence[float]) -> tuple[float, float]:
    return median(seconds) * 1000, quantiles(seconds, n=20, method="inclusive")[-1] * 1000


def _measure(name: str, empty: tuple[Visitor, str], full: tuple[Visitor, str], requests: int) -> Times:
    """In turns, so that whatever else the machine does happens to both."""
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP + requests):
        for seconds, (visitor, path) in zip(found, (empty, full), strict=True):
            took = visitor.get(path)
            if number >= WARM_UP:
                seconds.append(took)
    return Times(name, _p50_p95(found[0]), _p50_p95(found[1]))


def _visitor(site: Site) -> Visitor:
    told = json.loads(site.step("visitor").splitlines()[-1])
    return Visitor(site, told["cookie"], told["known"])


class Race:
    """Measures page by page what exists on both, and remembers what could not be measured."""

    def __init__(self, empty: Site, full: Site, requests: int) -> None:
        self.empty, self.full, self.requests = empty, full, requests
        self.found: dict[str, Times] = {}
        self.failures: dict[str, str] = {}

    def run(self, names: Sequence[str]) -> None:
        """Those of ``names`` that have no figure yet."""
        one, other = _visitor(self.empty), _visitor(self.full)
        for name in names:
            if name not in self.found:
                self._one(name, one, other)

    def _one(self, name: str, one: Visitor, other: Visitor) -> None:
        try:
            times = _measure(name, (one, one.path(name)), (other, other.path(name)), self.requests)
        except (BenchError, OSError, HTTPException, KeyError) as error:
            self.failures[name] = str(error)
            one.connection.close()
            other.connection.close()
            return
        self.found[name] = times
        self.failures.pop(name, None)
        print(f"  {name:<58} {times.full[0]:7.1f} {times.full[1]:7.1f} ms  x{times.ratio:.2f}", flush=True)


def _run(servers: Servers, requests: int) -> tuple[list[Times], list[str], str]:
    empty, full = Site(servers, "empty", 4), Site(servers, "a_month", 6)
    print("filling the databases ...", flush=True)
    begun = time.monotonic()
    empty.step("nothing")
    full.step("month")
    servers.postgres.settle_down(full.name)
    print(f"filled in {time.monotonic() - begun:.0f} s", flush=True)
    names = json.loads(full.step("names").splitlines()[-1])
    race = Race(empty, full, requests)
    with ExitStack() as stack:
        for site in (empty, full):
            stack.enter_context(site.serve())
        race.run([name for name in names if "{" not in name])
        # Pages of one thing need one.
        empty.step("little")
        race.run(names)
    counts = json.loads(full.step("counts").splitlines()[-1])
    found = [race.found[name] for name in names if name in race.found]
    return found, [f"{name}: {why}" for name, why in race.failures.items()], counts


def document(
    found: Sequence[Times], failures: Sequence[str], counts: str, facts: Sequence[tuple[str, str]], requests: int
) -> str:
    """The page of figures."""
    worst = max(found, key=lambda times: times.ratio)
    slowest = max(found, key=lambda times: times.full[1])
    lines = [
        "# How long pages take",
        "",
        "Written by `make bench-pages`; do not edit.",
        "",
        "| machine | |",
        "| --- | --- |",
    ]
    lines += [f"| {name} | {value} |" for name, value in facts]
    lines += [
        "",
        f"With a month of use: {counts}. Empty: services are configured and nothing was handed over yet;",
        "for pages of one thing (a message, a letter, a replay) a few hundred messages, so that there is one. Both are",
        "served by gunicorn from the same PostgreSQL and asked in turns over a kept-alive connection, by a lead; times",
        f"are from the request to the last byte, {requests} requests each after {WARM_UP} to warm up.",
        "",
        f"Slowest: `{slowest.path}`, p95 {slowest.full[1]:.0f} ms. Grows most: `{worst.path}`, {worst.ratio:.2f} times",
        f"its own empty page. Median ratio: {median(times.ratio for times in found):.2f}.",
        "",
        "| page | empty, p50 | p95 | with a month, p50 | p95 | ratio of p95 |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [_row(times) for times in found]
    if failures:
        lines += ["", "Not measured:", "", *(f"* {failure}" for failure in failures)]
    return "\n".join(lines) + "\n"


def _row(times: Times) -> str:
    figures = " | ".join(f"{value:.1f} ms" for value in (*times.empty, *times.full))
    return f"| `{times.path}` | {figures} | {times.ratio:.2f} |"


# --- steps, inside the portal ------------------------------------------------------------------------
def _nothing() -> None:
    """Services are configured; nothing was handed over yet."""
    from apps.console.demo.services import make_services

    make_services()


def _little() -> None:
    from django.utils import timezone

    from apps.console.management.commands.seed_demo import seed

    seed(timezone.now(), scale=0.05)


def _month() -> None:
    from django.utils import timezone

    from bench.bulk import fill

    fill(timezone.now())


def _visitor_of() -> None:
    """A lead's cookie, and the address of every page here."""
    from django.conf import settings
    from django.test import Client

    from apps.accounts.models import User
    from apps.outbox.models import Message
    from tests.console.places import places

    person, _ = User.objects.get_or_create(email="lead@bench.example", defaults={"role": "lead"})
    client = Client()
    client.force_login(person, backend=settings.AUTHENTICATION_BACKENDS[0])
    name = settings.SESSION_COOKIE_NAME
    known = places() if Message.objects.exists() else {}
    print(json.dumps({"cookie": f"{name}={client.cookies[name].value}", "known": known}))


def _names() -> None:
    from tests.console.places import PAGES

    print(json.dumps([*PAGES, *SEARCHES]))


def _counts() -> None:
    from apps.outbox.models import Attempt, DeadLetter, Message

    rows = {"messages": Message, "dead letters": DeadLetter, "attempts": Attempt}
    print(json.dumps(", ".join(f"{model.objects.count():,} {name}" for name, model in rows.items())))


STEPS = {
    "nothing": _nothing,
    "little": _little,
    "month": _month,
    "visitor": _visitor_of,
    "names": _names,
    "counts": _counts,
}


def _step(name: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsportal.settings")
    import django

    django.setup()
    STEPS[name]()


def _facts(servers: Servers) -> list[tuple[str, str]]:
    from importlib.metadata import version

    postgres = servers.postgres.facts()
    return [
        ("measured", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load before the run {os.getloadavg()[0]:.2f}"),
        ("processor", f"{processor()}, {len(os.sched_getaffinity(0))} cores usable"),
        ("memory", memory()),
        ("system", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"),
        ("PostgreSQL", f"{postgres['server_version']}, shared_buffers {postgres['shared_buffers']}"),
        ("portal", ", ".join(f"{name} {version(name)}" for name in OURS)),
    ]


def _stop(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.step:
        _step(arguments.step)
        return 0
    signal.signal(signal.SIGTERM, _stop)
    os.umask(0o022)  # PostgreSQL's own user must be able to read what it is given
    try:
        with started() as servers:
            facts = _facts(servers)
            found, failures, counts = _run(servers, arguments.requests)
    except BenchError as error:
        print(f"The benchmark stopped: {error}", file=sys.stderr)
        return 1
    PAGE.write_text(document(found, failures, counts, facts, arguments.requests), encoding="utf-8")
    for failure in failures:
        print(f"not measured: {failure}", file=sys.stderr)
    print(f"Written to {PAGE.relative_to(ROOT)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
