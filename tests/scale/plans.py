"""What the database would do for the statements of a page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

BIG = 5000
# What these hold grows with use, whatever a database of a test happens to hold.
ALWAYS_BIG = {
    "notification_outbox",
    "delivery_attempt",
    "dead_letter",
    "replay_item",
    "audit_entry",
    "breaker_event",
    "delivery_minute",
}


@dataclass
class Statements:
    """The statements of one answer, in order, with their parameters."""

    found: list[tuple[str, Any]] = field(default_factory=list)

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self.found.append((sql, params))
        return execute(sql, params, many, context)

    @property
    def count(self) -> int:
        """Savepoints and settings of the connection are no questions."""
        return len([sql for sql, _ in self.found if not re.match(r"\s*(SAVEPOINT|RELEASE|SET|BEGIN|PRAGMA)", sql)])

    @property
    def reads(self) -> list[tuple[str, Any]]:
        return [(sql, params) for sql, params in self.found if re.match(r"\s*(SELECT|WITH)\b", sql, re.IGNORECASE)]


@contextmanager
def captured() -> Iterator[Statements]:
    statements = Statements()
    with connection.execute_wrapper(statements):
        yield statements


def big_tables() -> set[str]:
    """Those that have many rows here, and those that will have elsewhere."""
    names = connection.introspection.table_names()
    found = ALWAYS_BIG & set(names)
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f'SELECT count(*) FROM (SELECT 1 FROM "{name}" LIMIT {BIG}) AS first')
            if cursor.fetchone()[0] >= BIG:
                found.add(name)
    return found


def scans(sql: str, params: Any, big: set[str]) -> list[str]:
    """The big tables that the statement would read from end to end."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
            plan = cursor.fetchone()[0]
            return [name for name in _seq_scans(plan if isinstance(plan, list) else json.loads(plan)) if name in big]
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        lines = [row[3] for row in cursor.fetchall()]
    return [name for name in (_scanned(line, sql) for line in lines) if name in big]


def _seq_scans(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _seq_scans(item)
    elif isinstance(node, dict):
        if node.get("Node Type") == "Seq Scan":
            yield node["Relation Name"]
        for value in node.values():
            if isinstance(value, dict | list):
                yield from _seq_scans(value)


# The first rows in the order of the table's key: SQLite calls it a scan, and it ends with the last row asked for.
FIRST_BY_KEY = re.compile(r'ORDER BY ("?\w+"?\.)?"?(id|\d+)"? (ASC|DESC) LIMIT \d+$')


def _scanned(line: str, sql: str) -> str:
    """The table that a line of SQLite's plan reads without an index; empty for none."""
    found = re.match(r"SCAN (\w+)(.*)", line)
    if found is None or "USING" in found[2] or "VIRTUAL" in found[2]:
        return ""
    if FIRST_BY_KEY.search(sql.strip()) and " WHERE " not in sql:
        return ""
    alias = re.search(rf'"?(\w+)"? (?:AS )?"?{found[1]}"?\b', sql)
    return alias[1] if alias and alias[1].lower() not in ("from", "join", "update", "into") else found[1]
