"""How degraded the whole is, and the sentence that says so: a function of the breakers' states alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.core.human import listed

DATABASE: Final = "database"
# What is said of the services in each unhealthy state, worst first. Everything else is healthy: a forced-closed
# breaker lets calls through.
SAID: Final[Mapping[str, Callable[[str, int], str]]] = {
    "OPEN": lambda names, n: ngettext("{names} is down", "{names} are down", n).format(names=names),
    "HALF_OPEN": lambda names, n: ngettext("{names} is being tested", "{names} are being tested", n).format(
        names=names
    ),
    "FORCED_OPEN": lambda names, n: ngettext("{names} is held open", "{names} are held open", n).format(names=names),
}
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
        return {
            "NORMAL": _("NORMAL"),
            "DEGRADED": _("DEGRADED"),
            "SEVERE": _("SEVERE"),
            "EMERGENCY": _("EMERGENCY"),
        }[self.level]


def degradation(states: Mapping[str, str]) -> Degradation:
    """0 unhealthy services: NORMAL; 1: DEGRADED; 2: SEVERE; 3 or more, or the database: EMERGENCY."""
    unhealthy = {name: state for name, state in sorted(states.items(), key=_worst_first) if state in SAID}
    names = tuple(unhealthy)
    if not names:
        return Degradation("NORMAL", "good", _("All services answer"), ())
    said = _sentence(unhealthy)
    if len(names) >= 3 or DATABASE in names:
        return Degradation("EMERGENCY", "bad", _("Emergency: {what}").format(what=said), names)
    if len(names) == 2:
        return Degradation("SEVERE", "bad", _("Severe: {what}").format(what=said), names)
    return Degradation("DEGRADED", "warning", _("Degraded: {what}").format(what=said), names)


def _worst_first(item: tuple[str, str]) -> tuple[int, str]:
    name, state = item
    order = list(SAID)
    return (order.index(state) if state in order else len(order), name)


def _sentence(unhealthy: Mapping[str, str]) -> str:
    groups: dict[str, list[str]] = {}
    for name, state in list(unhealthy.items())[:NAMED]:
        groups.setdefault(state, []).append(name)
    parts = [SAID[state](listed(names), len(names)) for state, names in groups.items()]
    more = len(unhealthy) - NAMED
    return listed(parts + ([_("{count} more").format(count=more)] if more > 0 else []))
