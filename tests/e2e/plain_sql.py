"""The database of a portal that runs, asked without Django."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg


@dataclass(frozen=True, slots=True)
class Database:
    """``url`` of PostgreSQL; empty: SQLite in ``folder``."""

    url: str
    folder: Path

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """``?`` stands for a value."""
        if self.url:
            with psycopg.connect(self.url) as connection:
                return connection.execute(sql.replace("?", "%s").encode(), values).fetchall()
        with closing(sqlite3.connect(self.folder / "opsportal.sqlite3", timeout=20)) as connection:
            return connection.execute(sql, [_as_stored(value) for value in values]).fetchall()

    def one(self, sql: str, *values: Any) -> Any:
        (row,) = self.rows(sql, *values)
        return row[0]

    def times(self, sql: str, *values: Any) -> Sequence[datetime]:
        """The one row of ``sql``, all of it times."""
        (row,) = self.rows(sql, *values)
        return [at if isinstance(at, datetime) else datetime.fromisoformat(at).replace(tzinfo=UTC) for at in row]


def _as_stored(value: Any) -> Any:
    """SQLite compares times as texts; a whole second is written without a fraction."""
    return str(value.astimezone(UTC).replace(tzinfo=None)) if isinstance(value, datetime) else value
