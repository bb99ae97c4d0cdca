"""Requests per minute of an API key: a token bucket in the shared cache, so it holds over all processes.

When the cache is away requests are not refused for it: each process then counts for itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import redis
import structlog
from django.conf import settings

from apps.accounts.models import ApiKey
from apps.core.errors import RateLimited

log = structlog.get_logger(__name__)

RETRY_CACHE_AFTER_S: Final = 5.0
MOST_BUCKETS: Final = 10_000

# The clock is the cache server's, so hosts need not agree on the time. Answers the wait in ms; 0 is "go".
LUA: Final = """
local now = redis.call('TIME')
local at = now[1] * 1000 + math.floor(now[2] / 1000)
local size = tonumber(ARGV[1])
local per_ms = size / 60000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(kept[1]) or size
local since = tonumber(kept[2]) or at
tokens = math.min(size, tokens + math.max(0, at - since) * per_ms)
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = math.ceil((1 - tokens) / per_ms) end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', at)
redis.call('PEXPIRE', KEYS[1], 61000)
return wait
"""


def take(tokens: float, elapsed: float, per_minute: int) -> tuple[float, float]:
    """One request from a bucket of ``per_minute``: (tokens left, seconds to wait; 0 is "go"). Pure."""
    per_second = per_minute / 60
    tokens = min(float(per_minute), tokens + max(0.0, elapsed) * per_second)
    if tokens >= 1:
        return tokens - 1, 0.0
    return tokens, (1 - tokens) / per_second


@dataclass
class LocalBuckets:
    """The buckets of this process."""

    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait(self, name: str, per_minute: int) -> float:
        """Seconds until a request may go; 0 takes a token now."""
        now = self.clock()
        with self._lock:
            if len(self._buckets) > MOST_BUCKETS:
                self._buckets.clear()
            tokens, at = self._buckets.get(name, (float(per_minute), now))
            tokens, wait = take(tokens, now - at, per_minute)
            self._buckets[name] = (tokens, now)
        return wait


class SharedBuckets:
    """The buckets of all processes; falls back to ``local`` while the cache cannot be reached."""

    def __init__(self, client: Any, local: LocalBuckets) -> None:
        self._script = client.register_script(LUA)
        self._local = local
        self._away_until = 0.0

    def wait(self, name: str, per_minute: int) -> float:
        """As :meth:`LocalBuckets.wait`."""
        if time.monotonic() < self._away_until:
            return self._local.wait(name, per_minute)
        try:
            return float(self._script(keys=[f"opsportal:rate:{name}"], args=[per_minute])) / 1000
        except redis.RedisError as error:
            # Asking again with every request would make each of them wait for the time-out.
            self._away_until = time.monotonic() + RETRY_CACHE_AFTER_S
            log.warning("rate_limit.cache_away", error=str(error))
            return self._local.wait(name, per_minute)


@lru_cache(maxsize=1)
def _buckets() -> LocalBuckets | SharedBuckets:
    cache: dict[str, Any] = settings.CACHES["default"]
    if not str(cache["BACKEND"]).endswith("RedisCache"):
        return LocalBuckets()
    client = redis.Redis.from_url(cache["LOCATION"], **cache.get("OPTIONS", {}))
    return SharedBuckets(client, LocalBuckets())


def spend(key: ApiKey) -> None:
    """Count one request of ``key``; raises :class:`RateLimited` with the seconds to wait."""
    per_minute = key.rate_per_minute or settings.API_RATE_PER_MINUTE
    wait = _buckets().wait(f"apikey:{key.pk}", per_minute)
    if wait > 0:
        raise RateLimited(
            f"The API key {key.name} may make {per_minute} requests a minute. Try again in {wait:.1f} s.",
            retry_after=wait,
            detail={"limit_per_minute": per_minute},
        )
