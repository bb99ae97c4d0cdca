"""A psycopg pool, for settings with more threads than PostgreSQL should have connections."""

from __future__ import annotations

from functools import cache

from psycopg_pool import ConnectionPool


@cache
def pool(dsn: str) -> ConnectionPool:
    return ConnectionPool(dsn, min_size=4, max_size=16, kwargs={"autocommit": True}, open=True)
