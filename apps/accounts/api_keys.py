"""Making and recognising API keys. This is on the way of every accepted message, so it is quick."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.models import Q

from apps.accounts.models import ApiKey
from apps.core import clock
from apps.core.errors import Unauthorized

log = structlog.get_logger(__name__)

PREFIX: Final = "opk_"
CACHE_SECONDS: Final = 5.0
CACHE_SIZE: Final = 1024
TOUCH_EVERY: Final = timedelta(minutes=1)


def make() -> str:
    """A new key: the prefix lets secret scanners find it, 256 random bits make it unguessable."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(raw: str) -> str:
    """What is stored. 256 random bits need no slow hash."""
    return hashlib.sha256(raw.encode("utf-8", "replace")).hexdigest()


class _Cache:
    """Keys seen in the last few seconds, so that a busy client costs no query per request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, ApiKey]] = {}
        self._touched: dict[int, datetime] = {}

    def get(self, key_hash: str) -> ApiKey | None:
        found = self._found.get(key_hash)
        if found is None or time.monotonic() - found[0] > CACHE_SECONDS:
            return None
        return found[1]

    def put(self, key_hash: str, key: ApiKey) -> None:
        with self._lock:
            if len(self._found) >= CACHE_SIZE:
                self._found.clear()
            self._found[key_hash] = (time.monotonic(), key)

    def due_for_touch(self, key: ApiKey, now: datetime) -> bool:
        """True once a minute per key, to one caller."""
        with self._lock:
            last = self._touched.get(key.pk) or key.last_used_at
            if last is not None and now - last < TOUCH_EVERY:
                return False
            self._touched[key.pk] = now
            return True

    def clear(self) -> None:
        with self._lock:
            self._found.clear()
            self._touched.clear()


_cache = _Cache()


def forget_cached() -> None:
    """Make this process look every key up again."""
    _cache.clear()


def authenticate(raw: str) -> ApiKey:
    """The key behind ``raw``; raises :class:`Unauthorized` that says why not."""
    key = _lookup(digest(raw)) if raw.startswith(PREFIX) else None
    if key is None:
        raise Unauthorized(
            "The API key is not known here. Make one with `manage.py apikey create`.", detail={"reason": "unknown"}
        )
    now = clock.now()
    _refuse_ended(key, now)
    if _cache.due_for_touch(key, now):
        _touch(key, now)
    return key


def _lookup(key_hash: str) -> ApiKey | None:
    key = _cache.get(key_hash)
    if key is None:
        key = ApiKey.objects.filter(key_hash=key_hash).first()
        if key is not None:
            _cache.put(key_hash, key)
    return key


def _refuse_ended(key: ApiKey, now: datetime) -> None:
    if key.revoked_at is not None:
        raise Unauthorized(
            f"The API key {key.name} was revoked on {key.revoked_at:%Y-%m-%d %H:%M} UTC. Use another key.",
            detail={"reason": "revoked"},
        )
    if key.expires_at is not None and key.expires_at <= now:
        raise Unauthorized(
            f"The API key {key.name} expired on {key.expires_at:%Y-%m-%d %H:%M} UTC. Make a new one.",
            detail={"reason": "expired"},
        )


def _touch(key: ApiKey, now: datetime) -> None:
    """Note that the key was used, unless that would mean waiting for someone's lock."""
    try:
        with without_waiting(), transaction.atomic():
            due = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - TOUCH_EVERY)
            rows = ApiKey.objects.filter(due, pk=key.pk)
            if connection.features.has_select_for_update_skip_locked:
                rows = rows.select_for_update(skip_locked=True)
            if rows.first() is not None:
                ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    except DatabaseError as error:
        # Nothing depends on this figure; the next minute tries again.
        log.info("apikey.touch_skipped", key=key.name, error=str(error))


class without_waiting:
    """SQLite waits up to its time-out for the one writer's lock; not for this."""

    def __enter__(self) -> None:
        self._waits = connection.vendor == "sqlite" and not connection.in_atomic_block
        self._set(0)

    def __exit__(self, *_: object) -> None:
        self._set(int(connection.settings_dict["OPTIONS"].get("timeout", 5) * 1000))

    def _set(self, milliseconds: int) -> None:
        if self._waits:
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
