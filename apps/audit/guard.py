"""The database's own guard of the trail: triggers that refuse to change or remove its rows.

Retention is the one way to remove rows. On PostgreSQL it sets ``opsportal.audit_retention`` for its transaction; who
may delete at all is a matter of roles there. SQLite has neither roles nor settings of a session: retention puts a row
into ``audit_retention`` and takes it out again in the same transaction, so that no other connection ever sees it.
"""

from __future__ import annotations

from typing import Final

from django.db import connection

GUARDED: Final = ("audit_entry", "audit_anchor", "audit_chain")
SETTING: Final = "opsportal.audit_retention"
OPEN_POSTGRES: Final = f"SELECT set_config('{SETTING}', 'on', true)"
CLOSE_POSTGRES: Final = f"SELECT set_config('{SETTING}', '', true)"
OPEN_SQLITE: Final = "INSERT INTO audit_retention (open) VALUES (1)"
CLOSE_SQLITE: Final = "DELETE FROM audit_retention"
TRIGGERS_POSTGRES: Final = (
    "SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
    "WHERE c.relname IN ('audit_entry', 'audit_anchor', 'audit_chain') "
    "AND t.tgenabled IN ('O', 'A') AND NOT t.tgisinternal"
)
TRIGGERS_SQLITE: Final = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
KINDS_POSTGRES: Final = ("update", "delete", "truncate")
KINDS_SQLITE: Final = ("update", "delete")


def open_sql() -> str:
    """What lets the rest of the transaction remove rows."""
    return OPEN_POSTGRES if connection.vendor == "postgresql" else OPEN_SQLITE


def close_sql() -> str:
    return CLOSE_POSTGRES if connection.vendor == "postgresql" else CLOSE_SQLITE


def missing_triggers() -> list[str]:
    """The triggers that are not there or are disabled; empty when the guard stands."""
    on_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute(TRIGGERS_POSTGRES if on_postgres else TRIGGERS_SQLITE)
        there = {row[0] for row in cursor.fetchall()}
    kinds = KINDS_POSTGRES if on_postgres else KINDS_SQLITE
    return [name for table in GUARDED for kind in kinds if (name := f"{table}_no_{kind}") not in there]
