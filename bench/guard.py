"""What a guarded call costs while the breaker is closed: ours and three others, interleaved.

`python -m bench.guard ROUNDS CALLS` runs in the portal's environment, with the three libraries appended
to its path, and prints JSON: CPU ns added per call, the loop's own cost subtracted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, Final

from bench.contenders import VENV
from bench.engine import Portal
from bench.processes import run

OURS: Final = "opsportal, with block"
OURS_DECORATED: Final = "opsportal, decorator"

Timed = Callable[[int], float]


@dataclass(frozen=True)
class GuardCost:
    """ns of CPU added to one successful call: median and least of the rounds."""

    name: str
    median_ns: float
    least_ns: float


def work() -> int:
    """The guarded call: as good as nothing."""
    return 1


def _loop(call: Callable[[], Any]) -> Timed:
    def timed(calls: int) -> float:
        started = time.process_time_ns()
        for _ in range(calls):
            call()
        return (time.process_time_ns() - started) / calls

    return timed


def _with_block(guard: Any) -> Timed:
    def timed(calls: int) -> float:
        started = time.process_time_ns()
        for _ in range(calls):
            with guard:
                work()
        return (time.process_time_ns() - started) / calls

    return timed


def _ours() -> dict[str, Timed]:
    from apps.breakers.guard import breaker

    guard = breaker("bench")
    return {OURS: _with_block(guard), OURS_DECORATED: _loop(guard(work))}


def _others() -> dict[str, Timed]:
    # Appended, not put first: where both environments have a package, the portal's wins.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    sys.path.append(str(VENV / "lib" / version / "site-packages"))
    import circuitbreaker
    import pybreaker
    from interlock import CircuitBreaker

    return {
        "pybreaker, call()": _loop(partial(pybreaker.CircuitBreaker().call, work)),
        "pybreaker, decorator": _loop(pybreaker.CircuitBreaker()(work)),
        "circuitbreaker, decorator": _loop(circuitbreaker.circuit(work)),
        "interlock-cb, decorator": _loop(CircuitBreaker(name="bench")(work)),
    }


def rounds_of(variants: dict[str, Timed], rounds: int, calls: int) -> dict[str, list[float]]:
    """Each variant once per round, so that a disturbance hits all; the first round warms up and is dropped."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name, timed in variants.items():
            cost = timed(calls)
            if number:
                found[name].append(cost)
    return found


def main(rounds: int, calls: int) -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsportal.settings")
    django.setup()
    found = rounds_of({"bare": _loop(work), **_ours(), **_others()}, rounds, calls)
    bare = min(found.pop("bare"))
    print(json.dumps({name: [median(costs) - bare, min(costs) - bare] for name, costs in found.items()}))


def measure(portal: Portal, quick: bool) -> list[GuardCost]:
    """Run the rounds in a process of their own; cheapest first."""
    portal.step("fill", "http://127.0.0.1:9/", "0", "64")
    rounds, calls = ("7", "20000") if quick else ("21", "40000")
    output = run("bench.guard", [sys.executable, "-m", "bench.guard", rounds, calls], portal.env)
    costs: dict[str, list[float]] = json.loads(output.splitlines()[-1])
    found = [GuardCost(name, middle, least) for name, (middle, least) in costs.items()]
    return sorted(found, key=lambda cost: cost.median_ns)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
