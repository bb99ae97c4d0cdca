"""Writing rows, and everything somebody with the database in hand could do to them."""

from __future__ import annotations

from typing import Any

from django.db import connection

from apps.audit.models import AuditEntry
from apps.audit.services import record
from apps.core.actor import ALL_PERMISSIONS, Actor

SOMEONE = Actor("person", "ann@example.com", ALL_PERMISSIONS, "10.0.0.1")


def note(**facts: Any) -> AuditEntry:
    facts = {"actor": SOMEONE, "action": "service.changed", "target": "service:midtrans", **facts}
    return record(**facts)


def notes(count: int) -> list[AuditEntry]:
    return [
        note(reason=f"reason {number}", before={"cap": number}, after={"cap": number + 1}) for number in range(count)
    ]


def take_guard_down() -> None:
    """As the owner of the tables could."""
    with connection.cursor() as cursor:
        for table in ("audit_entry", "audit_anchor", "audit_chain"):
            if connection.vendor == "postgresql":
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            else:
                cursor.execute(f"DROP TRIGGER IF EXISTS {table}_no_update")
                cursor.execute(f"DROP TRIGGER IF EXISTS {table}_no_delete")


def forge(statement: str, *values: Any) -> None:
    """Run ``statement`` with the guard out of the way."""
    take_guard_down()
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
