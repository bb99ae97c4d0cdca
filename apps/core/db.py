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
