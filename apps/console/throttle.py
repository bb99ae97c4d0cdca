"""Failed log-ins are counted per address and e-mail in the shared cache; without a cache people can still log in."""

from __future__ import annotations

import hashlib
import time
from typing import Final

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

MAX_FAILURES: Final = 10
WINDOW_S: Final = 15 * 60


def _key(ip: str, email: str) -> str:
    mark = hashlib.sha256(f"{ip}\x00{email.strip().lower()}".encode()).hexdigest()[:32]
    return f"login.failures.{mark}"


def blocked_for(ip: str, email: str) -> int:
    """Seconds until this address may try this e-mail again; 0 when it may now."""
    key = _key(ip, email)
    try:
        found = cache.get_many([key, f"{key}.until"])
    except (RedisError, OSError) as error:
        log.warning("login.throttle_away", error=str(error))
        return 0
    if found.get(key, 0) < MAX_FAILURES:
        return 0
    return max(1, int(found.get(f"{key}.until", 0) - time.time()))


def count_failure(ip: str, email: str) -> None:
    """One more failed log-in. The window begins with the first and is not extended."""
    key = _key(ip, email)
    try:
        cache.add(f"{key}.until", time.time() + WINDOW_S, WINDOW_S)
        cache.add(key, 0, WINDOW_S)
        cache.incr(key)
    except ValueError:  # it expired between the two calls: then there is no window to count in
        log.debug("login.window_ended")
    except (RedisError, OSError) as error:
        log.warning("login.throttle_away", error=str(error))


def forget_failures(ip: str, email: str) -> None:
    """A successful log-in starts over."""
    try:
        cache.delete_many([_key(ip, email), f"{_key(ip, email)}.until"])
    except (RedisError, OSError) as error:
        log.warning("login.throttle_away", error=str(error))
