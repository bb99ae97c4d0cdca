"""Appending to the audit trail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import structlog
from django.db import connection, transaction

from apps.audit.canonical import canonical_json, clean_text, plain
from apps.audit.models import AuditEntry
from apps.core import clock, context
from apps.core.actor import Actor

log = structlog.get_logger(__name__)

# One number for "the end of the chain" among PostgreSQL's advisory locks ("opsaudit" in ASCII).
CHAIN_LOCK: Final = 0x6F70736175646974
HASHED: Final = (
    "at",
    "actor_kind",
    "actor",
    "ip",
    "action",
    "target",
    "reason",
    "before",
    "after",
    "request_id",
    "previous_hash",
)


@transaction.atomic
def record(
    *,
    actor: Actor,
    action: str,
    target: str,
    before: Any = None,
    after: Any = None,
    reason: str = "",
) -> AuditEntry:
    """Append what ``actor`` did, in the caller's transaction: it is kept exactly if the change is.

    Appenders are serialised until their transactions end, so call it late and keep transactions short.
    ``before`` and ``after`` are JSON-like; never hand in a secret.
    """
    entry = AuditEntry(
        at=clock.now(),
        actor_kind=actor.kind,
        actor=clean_text(actor.name, 200),
        ip=clean_text(actor.ip, 64),
        action=clean_text(action, 64),
        target=clean_text(target, 200),
        reason=clean_text(reason, 10_000),
        before=plain(before),
        after=plain(after),
        request_id=clean_text(context.request_id.get(), 128),
    )
    return append(entry)


@transaction.atomic
def append(entry: AuditEntry) -> AuditEntry:
    """Chain ``entry`` to the newest row. Who does something writes it down with :func:`record`."""
    entry.previous_hash = _hold_end_of_chain()
    entry.hash = entry_hash(entry)
    entry.save(force_insert=True)
    # Where logs are kept elsewhere, they prove a row that is later cut off the end.
    transaction.on_commit(
        lambda: log.info("audit.recorded", entry_id=entry.pk, action=entry.action, entry_hash=entry.hash)
    )
    return entry


def _hold_end_of_chain() -> str:
    """The last hash, held against other appenders until the transaction ends.

    SQLite's transactions are IMMEDIATE (settings), so there the writer's lock is held already.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHAIN_LOCK])
    last = AuditEntry.objects.order_by("-id").values_list("hash", flat=True).first()
    return last or ""


def entry_hash(entry: AuditEntry) -> str:
    """SHA-256, in hex, over everything in the row and the hash of the row before it."""
    return content_hash({**{name: getattr(entry, name) for name in HASHED}, "at": entry.at.isoformat()})


def content_hash(content: Mapping[str, Any]) -> str:
    """The same for a row that stands in a file; ``at`` is text."""
    return hashlib.sha256(canonical_json({name: content[name] for name in HASHED}).encode()).hexdigest()


def changed_fields(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Only what differs of two snapshots, so that the trail shows the change and not the whole."""
    names = [name for name in {**before, **after} if _differs(before.get(name), after.get(name))]
    return {name: before.get(name) for name in names}, {name: after.get(name) for name in names}


def _differs(one: Any, other: Any) -> bool:
    return json.dumps(plain(one), sort_keys=True) != json.dumps(plain(other), sort_keys=True)
