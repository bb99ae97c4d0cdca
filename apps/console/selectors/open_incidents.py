"""How many incidents are open, for the navigation of every page: looked up every two seconds for all viewers together,
and at once after a change that this process made.
"""

from __future__ import annotations

from typing import Any, Final

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

from apps.console.selectors.letters import remembered
from apps.incidents.selectors import open_count
from apps.incidents.signals import incident_changed

log = structlog.get_logger(__name__)

KEY: Final = "console.incidents.open"
SECONDS: Final = 2


def open_now() -> int:
    found: int = remembered(KEY, SECONDS, open_count)
    return found


def forget(**_: Any) -> None:
    try:
        cache.delete(KEY)
    except (RedisError, OSError) as error:
        log.debug("cache.away", error=str(error))


def listen() -> None:
    """Called once, when the apps are ready."""
    incident_changed.connect(forget, dispatch_uid="console.incidents")
