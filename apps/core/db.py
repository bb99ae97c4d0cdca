"""Database expressions that both databases know."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql.compiler import SQLCompiler

_NOW: Final = {"postgresql": "SELECT clock_timestamp()", "sqlite": "SELECT strftime('%Y-%m-%dT%H:%M:%f000', 'now')"}


def database_now() -> datetime:
    """The one clock all processes share, UTC. SQLite's counts milliseconds."""
    with connection.cursor() as cursor:
        cursor.execute(_NOW[connection.vendor])
        (found,) = cursor.fetchone()
    at = datetime.fromisoformat(found).replace(tzinfo=UTC) if isinstance(found, str) else found
    return at.astimezone(UTC)


class RandomUUID(models.Func):
    """A random UUID made by the database, so that plain SQL inserts get one too."""

    template = "%(function)s()"
    output_field = models.UUIDField()
    arity = 0

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, function="gen_random_uuid", **extra)

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="lower(hex(randomblob(16)))", **extra)


class Folded(models.Func):
    """The beginning of a text in lower case, compared byte by byte: an index of it answers "is" and "begins with"
    whatever the locale of the database. Cut, because PostgreSQL refuses a row whose entry would be too long.
    """

    template = "LOWER(SUBSTR(%(expressions)s, 1, 200))"
    output_field = models.TextField()
    arity = 1

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template=f'({self.template} COLLATE "C")', **extra)
