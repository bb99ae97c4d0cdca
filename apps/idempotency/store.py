"""The statements of the idempotency store: insert a claim, take one over, finish it, release it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection

from apps.core import clock
from apps.idempotency.models import IdempotencyRecord


@dataclass(frozen=True, slots=True)
class Claim:
    """One try to be the first use of a key; ``claim`` is its fencing token."""

    scope: str
    key: str
    payload_hash: str
    claim: str
    now: datetime
    claimed_until: datetime
    expires_at: datetime


_INSERT: Final = (
    "INSERT INTO idempotency_store (scope, key, payload_hash, claim, claimed_until, expires_at) "
    "SELECT %s, %s, %s, %s, %s, %s WHERE {guard} ON CONFLICT DO NOTHING"
)
# PostgreSQL: without the lock a second use would wait inside its INSERT for the first one's transaction
# to end, however long that takes. With it, the second inserts nothing and is told "in flight" at once.
# SQLite has one writer, so whoever inserts second does so after the first one's transaction ended.
_INSERT_POSTGRES: Final = _INSERT.format(guard="pg_try_advisory_xact_lock(%s)")
_INSERT_SQLITE: Final = _INSERT.format(guard="true")


def insert(claim: Claim) -> bool:
    """True if the key was free and is now ours."""
    times = [connection.ops.adapt_datetimefield_value(at) for at in (claim.claimed_until, claim.expires_at)]
    values = [claim.scope, claim.key, claim.payload_hash, claim.claim, *times]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_INSERT_POSTGRES, [*values, _lock_number(claim)])
        else:
            cursor.execute(_INSERT_SQLITE, values)
        return bool(cursor.rowcount)


def _lock_number(claim: Claim) -> int:
    """A signed 64-bit number for PostgreSQL's advisory locks."""
    found = hashlib.blake2b(f"idempotency\0{claim.scope}\0{claim.key}".encode(), digest_size=8).digest()
    return int.from_bytes(found, "big", signed=True)


def take_over(found: IdempotencyRecord, claim: Claim) -> bool:
    """Make a record that is over ours, unless somebody else was quicker."""
    mine = IdempotencyRecord.objects.filter(pk=found.pk, claim=found.claim, finished_at=found.finished_at)
    return bool(
        mine.update(
            payload_hash=claim.payload_hash,
            claim=claim.claim,
            claimed_until=claim.claimed_until,
            expires_at=claim.expires_at,
            created_at=claim.now,
            answer=None,
            finished_at=None,
        )
    )


def finish(claim: Claim, answer: Any) -> bool:
    """Keep the answer; False if the claim was lost meanwhile."""
    return bool(_held(claim).update(answer=answer, finished_at=clock.now()))


def release(claim: Claim) -> None:
    """Free the key for the next try."""
    _held(claim).delete()


def _held(claim: Claim) -> Any:
    return IdempotencyRecord.objects.filter(
        scope=claim.scope, key=claim.key, claim=claim.claim, finished_at__isnull=True
    )
