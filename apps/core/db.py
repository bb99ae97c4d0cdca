"""Database expressions that both databases know."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql.compiler import SQLCompiler


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
