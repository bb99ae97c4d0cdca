"""Failures are counted in the shared cache; without the cache people can still log in.

The one mechanism for log-ins, codes of a second factor, passwords asked again and password links.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Final

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

WINDOW_S: Final = 15 * 60


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``failures`` of one kind within :data:`WINDOW_S` for the same ``parts``."""

    name: str
    failures: int

    def key(self, *parts: str) -> str:
        mark = hashlib.sha256("\x00".join(part.strip().lower() for part in parts).encode()).hexdigest()[:32]
        return f"failures.{self.name}.{mark}"

    def blocked_for(self, *parts: str) -> int:
        """Seconds until another try is allowed; 0 when it is now."""
        key = self.key(*parts)
        try:
            found = cache.get_many([key, f"{key}.until"])
        except (RedisError, OSError) as error:
            log.warning("throttle.cache_away", limit=self.name, error=str(error))
            return 0
        if found.get(key, 0) < self.failures:
            return 0
        return max(1, int(found.get(f"{key}.until", 0) - time.time()))

    def count(self, *parts: str) -> None:
        """One more failure. The window begins with the first and is not extended."""
        key = self.key(*parts)
        try:
            cache.add(f"{key}.until", time.time() + WINDOW_S, WINDOW_S)
            cache.add(key, 0, WINDOW_S)
            cache.incr(key)
        except ValueError:  # it expired between the two calls: then there is no window to count in
            log.debug("throttle.window_ended", limit=self.name)
        except (RedisError, OSError) as error:
            log.warning("throttle.cache_away", limit=self.name, error=str(error))

    def forget(self, *parts: str) -> None:
        """A success starts over."""
        key = self.key(*parts)
        try:
            cache.delete_many([key, f"{key}.until"])
        except (RedisError, OSError) as error:
            log.warning("throttle.cache_away", limit=self.name, error=str(error))


# Address and e-mail together: nobody can lock somebody else out from elsewhere.
LOG_IN: Final = Limit("login", 10)
# Of one address, whatever the e-mail: for lists of stolen passwords.
LOG_IN_ANY: Final = Limit("login-any", 100)
# Codes of one person: to come here, the password was right.
CODE: Final = Limit("code", 10)
PASSWORD_AGAIN: Final = Limit("password-again", 10)
LINK: Final = Limit("link", 30)
