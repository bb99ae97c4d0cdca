"""`make bench`: measure ours, the peers and the limit in one run on this machine.

python -m bench [--quick] [--only NAME]...   NAME is delivery, claim, accept, guard, or part of a contender's name.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from bench import accept, claim, facts, guard, report
from bench.acceptance import Results
from bench.contenders import Limit, PeerContender, install_peers, peer_contenders
from bench.delivery import Plan, measure_all
from bench.engine import EngineContender, Portal
from bench.measure import Contender
from bench.processes import ROOT, WORK, BenchError
from bench.servers import PEERS_DATABASE, Servers, started

PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
SCRATCH = WORK / "benchmarks.md"
PARTS = ("delivery", "claim", "accept", "guard")
QUICK = Plan(rounds=1, scale=0.3, sweep=False, cap_s=8.0)
FULL = Plan(rounds=3, scale=1.0, sweep=True, cap_s=12.0)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, fewer messages, no sweep; under 5 minutes")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only these; may be repeated")
    parser.add_argument("--rounds", type=int, default=None, help="rounds per figure")
    return parser.parse_args(argv)


def chosen(only: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names that ``only`` asks for, by any part of them; all without it."""
    return [name for name in names if not only or any(word.lower() in name.lower() for word in only)]


def _contenders(servers: Servers, only: Sequence[str]) -> list[Contender]:
    """Ours, the limit and the peers, cut down to what was asked for."""
    words = [word for word in only if word not in PARTS]
    if only and not words and "delivery" not in only:
        return []
    found: list[Contender] = [Limit(), *peer_contenders()]
    for kind, name in (("postgres", "opsportal, PostgreSQL"), ("sqlite", "opsportal, SQLite")):
        if chosen(words, [name]):
            found.insert(1, EngineContender(Portal(servers, kind)))
    wanted = chosen(words, [contender.name for contender in found])
    return [contender for contender in found if contender.name in wanted]


def _attempt(results: Results, name: str, work: Callable[[], None]) -> None:
    """A part that fails is reported and the others go on."""
    print(f"{name} ...", flush=True)
    started_at = time.monotonic()
    try:
        work()
    except BenchError as error:
        results.failures.append(f"{name}: {error}".replace("\n", " "))
        print(f"  FAILED: {error}", flush=True)
    print(f"{name}: {time.monotonic() - started_at:.0f} s", flush=True)


def _deliver(servers: Servers, only: Sequence[str], plan: Plan, results: Results) -> None:
    contenders = _contenders(servers, only)
    if not contenders:
        return
    results.figures, results.sweeps = measure_all(contenders, servers, plan)
    for contender in contenders:
        if isinstance(contender, PeerContender) and contender.enqueued_per_second:
            results.enqueued[contender.name] = max(contender.enqueued_per_second)


def _measure(servers: Servers, only: Sequence[str], quick: bool, plan: Plan) -> Results:
    results = Results()
    servers.postgres.create(PEERS_DATABASE)
    _attempt(results, "delivery", lambda: _deliver(servers, only, plan, results))
    parts = chosen(only, ("claim", "accept", "guard"))
    if not parts:
        return results
    portal = Portal(servers, "postgres")
    steps: dict[str, Callable[[], None]] = {
        "guard": lambda: results.guards.extend(guard.measure(portal, quick)),
        "accept": lambda: results.accepts.extend(accept.measure(servers, portal, plan.rounds, plan.scale)),
        "claim": lambda: results.claims.extend(claim.measure(servers, portal, quick)),
    }
    for name in steps:
        if name in parts:
            _attempt(results, name, steps[name])
    return results


def _write(results: Results, rows: Sequence[tuple[str, str]], whole: bool, quick: bool) -> Path:
    """Only a complete full run replaces the published page."""
    target = PAGE if whole and not quick else SCRATCH
    kind = "A quick run: one round, no sweep." if quick else "A full run."
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(report.document(results, rows, kind), encoding="utf-8")
    return target


def _stop(number: int, _: FrameType | None) -> None:
    """Leave through the context managers, so that every child is stopped."""
    raise SystemExit(128 + number)


def main(argv: Sequence[str]) -> int:
    arguments = _arguments(argv)
    if sys.platform != "linux":
        print("The benchmark reads /proc and uses epoll: run it on Linux.", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _stop)
    os.umask(0o022)  # PostgreSQL's own user must be able to read what it is given
    quick = bool(arguments.quick)
    plan = (QUICK if quick else FULL).with_rounds(arguments.rounds)
    try:
        install_peers()
        with started() as servers:
            rows = facts.collect(servers)
            results = _measure(servers, arguments.only, quick, plan)
    except BenchError as error:
        print(f"The benchmark stopped: {error}", file=sys.stderr)
        return 1
    page = _write(results, rows, not arguments.only, quick)
    for title, text in report.sections(results):
        print(f"\n## {title}\n\n{text}", end="")
    print(f"\nWritten to {page.relative_to(ROOT)}")
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
