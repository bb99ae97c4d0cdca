"""How degraded the whole is, and the sentence that says so: a pure function of the breakers' states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from apps.core.human import listed

DATABASE: Final = "database"
# What each unhealthy state is called. Everything else is healthy: a forced-closed breaker lets calls through.
VERBS: Final[Mapping[str, str]] = {
    "OPEN": "is down",
    "HALF_OPEN": "is being tested",
    "FORCED_OPEN": "is held open",
}
PLURALS: Final[Mapping[str, str]] = {"is down": "are down", "is being tested": "are being tested"}
NAMED: Final = 4


@dataclass(frozen=True, slots=True)
class Degradation:
    """``level`` as in product.md; ``tone`` and ``label`` make it a badge."""

    level: str
    tone: str
    sentence: str
    unhealthy: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.level


def degradation(states: Mapping[str, str]) -> Degradation:
    """0 unhealthy services: NORMAL; 1: DEGRADED; 2: SEVERE; 3 or more, or the database: EMERGENCY."""
    unhealthy = {name: VERBS[state] for name, state in sorted(states.items(), key=_worst_first) if state in VERBS}
    names = tuple(unhealthy)
    if not names:
        return Degradation("NORMAL", "good", "All services answer", ())
    if len(names) >= 3 or DATABASE in names:
        return Degradation("EMERGENCY", "bad", f"Emergency: {_sentence(unhealthy)}", names)
    if len(names) == 2:
        return Degradation("SEVERE", "bad", f"Severe: {_sentence(unhealthy)}", names)
    return Degradation("DEGRADED", "warning", f"Degraded: {_sentence(unhealthy)}", names)


def _worst_first(item: tuple[str, str]) -> tuple[int, str]:
    name, state = item
    order = list(VERBS)
    return (order.index(state) if state in order else len(order), name)


def _sentence(unhealthy: Mapping[str, str]) -> str:
    groups: dict[str, list[str]] = {}
    for name, verb in list(unhealthy.items())[:NAMED]:
        groups.setdefault(verb, []).append(name)
    parts = [f"{listed(names)} {verb if len(names) == 1 else _plural(verb)}" for verb, names in groups.items()]
    more = len(unhealthy) - NAMED
    return listed(parts + ([f"{more} more"] if more > 0 else []))


def _plural(verb: str) -> str:
    return PLURALS.get(verb, verb.replace("is ", "are ", 1))
