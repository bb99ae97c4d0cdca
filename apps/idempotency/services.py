"""Doing something once per key. How and why: docs/design/idempotency.md."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from apps.core import clock
from apps.core.errors import Invalid
from apps.idempotency import store
from apps.idempotency.errors import InFlight, KeyReused
from apps.idempotency.models import IdempotencyRecord

log = structlog.get_logger(__name__)

LEASE: Final = timedelta(seconds=60)
LONGEST_KEY: Final = 255
LONGEST_SCOPE: Final = 128
CLEAN_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """``answer`` is what the first use of the key returned; ``replayed`` tells that this was not it."""

    answer: Any
    replayed: bool


def run_once(*, scope: str, key: str, payload: Any, work: Callable[[], Any], ttl: int | None = None) -> Outcome:
    """Run ``work`` unless ``key`` did so before within ``scope``, and give its (JSON-like) answer.

    ``payload`` is what came with the key: bytes, or any JSON-like value. ``ttl`` is in seconds
    (settings.IDEMPOTENCY_TTL_S). Work and its answer are one transaction: the caller's, if there is
    one. Work that raises frees the key.

    Raises :class:`KeyReused` when the key came with another payload, :class:`InFlight` while its
    first use is under way (one that crashed is in the way for 60 s at most).
    """
    claim = _new_claim(scope, key, payload, ttl)
    if connection.in_atomic_block:
        with transaction.atomic():
            return _replayed(claim) or _finish(claim, work())
    replayed = _replayed(claim)
    if replayed is not None:
        return replayed
    try:
        with transaction.atomic():
            return _finish(claim, work())
    except BaseException:
        # Whatever it was, the caller hears of it; the key must be free for the next try.
        store.release(claim)
        raise


def _new_claim(scope: str, key: str, payload: Any, ttl: int | None) -> store.Claim:
    now = clock.now()
    return store.Claim(
        scope=_short_scope(scope),
        key=_checked_key(key),
        payload_hash=payload_hash(payload),
        claim=secrets.token_hex(16),
        now=now,
        claimed_until=now + LEASE,
        expires_at=now + timedelta(seconds=settings.IDEMPOTENCY_TTL_S if ttl is None else ttl),
    )


def _short_scope(scope: str) -> str:
    if len(scope) <= LONGEST_SCOPE:
        return scope
    return f"{scope[:60]}…{hashlib.sha256(scope.encode()).hexdigest()}"


def _checked_key(key: str) -> str:
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
        raise Invalid.field("idempotency_key", _("use 1 to {count} printable characters").format(count=LONGEST_KEY))
    return key


def payload_hash(payload: Any) -> str:
    """SHA-256, in hex, of bytes as they are or of a value as JSON with sorted keys."""
    if not isinstance(payload, bytes):
        payload = json.dumps(payload, sort_keys=True, separators=(",", ":"), default=str).encode()
    return hashlib.sha256(payload).hexdigest()


def _replayed(claim: store.Claim) -> Outcome | None:
    """The kept answer; or None, and then the claim is ours."""
    if store.insert(claim):
        return None
    found = IdempotencyRecord.objects.filter(scope=claim.scope, key=claim.key).first()
    if found is None:
        raise _in_flight(claim)  # claimed in a transaction that has not ended
    if _is_over(found, claim.now):
        _take_over(found, claim)
        return None
    if found.payload_hash != claim.payload_hash:
        raise KeyReused(
            _("The idempotency key {key} was used before with other content. Use a new key for a new request.").format(
                key=repr(claim.key)
            ),
            detail=[{"field": "idempotency_key", "message": _("was used before with other content")}],
        )
    if found.finished_at is None:
        raise _in_flight(claim)
    return Outcome(found.answer, replayed=True)


def _is_over(found: IdempotencyRecord, now: datetime) -> bool:
    """A kept answer past its time, or a first use whose process must have died."""
    return (found.claimed_until if found.finished_at is None else found.expires_at) <= now


def _take_over(found: IdempotencyRecord, claim: store.Claim) -> None:
    if not store.take_over(found, claim):
        raise _in_flight(claim)


def _in_flight(claim: store.Claim) -> InFlight:
    return InFlight(
        _("A request with the idempotency key {key} is being worked on. Try again in a moment.").format(
            key=repr(claim.key)
        ),
        detail=[{"field": "idempotency_key", "message": _("its first use is not finished")}],
    )


def _finish(claim: store.Claim, answer: Any) -> Outcome:
    """Keep the answer, if the claim still holds; otherwise roll the work back."""
    if not store.finish(claim, answer):
        raise _in_flight(claim)
    return Outcome(answer, replayed=False)


def clean_expired(*, batches: int = 50) -> int:
    """Remove records past their time, in batches so that no transaction is long. Gives how many."""
    now, removed = clock.now(), 0
    over = Q(expires_at__lte=now) & (Q(finished_at__isnull=False) | Q(claimed_until__lte=now))
    for _batch in range(batches):
        ids = list(
            IdempotencyRecord.objects.filter(over).order_by("expires_at").values_list("pk", flat=True)[:CLEAN_BATCH]
        )
        # The condition again: a record may have been taken over since it was listed.
        removed += IdempotencyRecord.objects.filter(over, pk__in=ids).delete()[0]
        if len(ids) < CLEAN_BATCH:
            break
    if removed:
        log.info("idempotency.cleaned", removed=removed)
    return removed
