"""What every page shows of the whole: breakers, workers, open letters. At most a second old, and looked up once
a second for all viewers together, so that many open pages cost the database no more than one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

from apps.breakers.selectors import BreakerSnapshot, WorkerView, snapshot_all, workers
from apps.outbox.selectors import open_letters

log = structlog.get_logger(__name__)

KEY: Final = "console.vitals"
SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """``letters`` counts open dead letters by service."""

    breakers: dict[str, BreakerSnapshot] = field(default_factory=dict)
    workers: list[WorkerView] = field(default_factory=list)
    letters: dict[str, int] = field(default_factory=dict)


def vitals(*, fresh: bool = False) -> Vitals:
    """``fresh`` asks the database whatever is remembered: for deciding rather than for looking."""
    found = None if fresh else _remembered()
    if found is not None:
        return found
    made = Vitals({snapshot.service: snapshot for snapshot in snapshot_all()}, workers(), open_letters())
    _remember(made)
    return made


def forget() -> None:
    """Somebody has just changed something here: the next page shows it."""
    try:
        cache.delete(KEY)
    except (RedisError, OSError) as error:
        log.debug("cache.away", error=str(error))


def _remembered() -> Vitals | None:
    try:
        found = cache.get(KEY)
    except (RedisError, OSError) as error:  # the cache is away: the database knows
        log.debug("cache.away", error=str(error))
        return None
    return found if isinstance(found, Vitals) else None


def _remember(made: Vitals) -> None:
    try:
        cache.set(KEY, made, SECONDS)
    except (RedisError, OSError) as error:
        log.debug("cache.away", error=str(error))
