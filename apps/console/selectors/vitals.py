"""What every page shows of the whole: breakers, workers, open letters. At most a second old, and looked up once
a second for all viewers together, so that many open pages cost the database no more than one.

A change of any breaker or service, made by whatever process, forgets it at once: what another browser shows after
an override is only as old as its last poll. Each change begins a new generation, so that what somebody looked up
before the change, and hands in after it, is not believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

from apps.alerts.models import Episode
from apps.alerts.selectors import unacknowledged
from apps.alerts.signals import episodes_changed
from apps.breakers.selectors import BreakerSnapshot, WorkerView, look
from apps.breakers.signals import breaker_changed
from apps.core import clock
from apps.outbox.selectors import open_letters
from apps.services.models import Service
from apps.services.signals import service_changed

log = structlog.get_logger(__name__)
T = TypeVar("T")

KEY: Final = "console.vitals"
GENERATION: Final = "console.vitals.generation"
SECONDS: Final = 1.0
URGENT: Final = 3


@dataclass(frozen=True, slots=True)
class Vitals:
    """``letters`` counts open dead letters by service, ``alerts`` those that fire and are nobody's yet; ``urgent`` are
    the first of them.
    """

    breakers: dict[str, BreakerSnapshot] = field(default_factory=dict)
    workers: list[WorkerView] = field(default_factory=list)
    letters: dict[str, int] = field(default_factory=dict)
    alerts: int = 0
    urgent: list[Episode] = field(default_factory=list)


NOTHING: Final[tuple[int, Vitals | None]] = (0, None)


def vitals(services: Callable[[], Iterable[Service]] | None = None, *, fresh: bool = False) -> Vitals:
    """``fresh`` asks the database whatever is remembered: for deciding rather than for looking. ``services`` hands
    over all of them where they were read already; it is called only if they are needed.
    """
    generation, found = _with_cache(_remembered, NOTHING)
    if found is not None and not fresh:
        return found
    seen = look(services() if services is not None else None)
    breakers = {snapshot.service: snapshot for snapshot in seen.breakers}
    made = Vitals(breakers, seen.workers, open_letters(), *unacknowledged(clock.now(), URGENT))
    _with_cache(lambda: cache.set(KEY, (generation, made), SECONDS), None)
    return made


def forget(**_: Any) -> None:
    """Something has just changed: the next page shows it."""
    _with_cache(_next_generation, None)


def listen() -> None:
    """Forget on every change that this process makes or finds. Called once, when the apps are ready."""
    breaker_changed.connect(forget, dispatch_uid="console.vitals")
    service_changed.connect(forget, dispatch_uid="console.vitals")
    episodes_changed.connect(forget, dispatch_uid="console.vitals")


def _remembered() -> tuple[int, Vitals | None]:
    found = cache.get_many([GENERATION, KEY])
    generation = found.get(GENERATION, 0)
    kept = found.get(KEY)
    if isinstance(kept, tuple) and kept[0] == generation and isinstance(kept[1], Vitals):
        return generation, kept[1]
    return generation, None


def _next_generation() -> None:
    cache.add(GENERATION, 0, None)
    cache.incr(GENERATION)


def _with_cache(work: Callable[[], T], without: T) -> T:
    """The cache is only in the way of work: without it the database knows."""
    try:
        return work()
    except (RedisError, OSError, ValueError) as error:  # ValueError: the counter was evicted in between
        log.debug("cache.away", error=str(error))
        return without
