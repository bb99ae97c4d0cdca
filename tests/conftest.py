"""Fixtures of every test: plain, typed make_* functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.backends.base.operations import BaseDatabaseOperations

from apps.audit import guard
from apps.breakers.runtime import RUNTIME
from apps.core.actor import ALL_PERMISSIONS, Actor
from apps.services.models import Service


def make_service(name: str = "midtrans", **fields: Any) -> Service:
    """A service with an HTTP channel; override any field."""
    fields.setdefault("channel", "http")
    fields.setdefault("settings", {"url": "http://127.0.0.1:9/hook"})
    return Service.objects.create(name=name, **fields)


@pytest.fixture
def lead() -> Actor:
    """Someone who may do everything."""
    return Actor("person", "lead@example.com", ALL_PERMISSIONS, "127.0.0.1")


@pytest.fixture
def viewer() -> Actor:
    return Actor("person", "viewer@example.com", frozenset({"messages.read", "services.read"}), "127.0.0.1")


@pytest.fixture(autouse=True)
def _no_breaker_outlives_its_test() -> Iterator[None]:
    """The agent thread holds a connection to the test's database, and what it knows is about that test."""
    yield
    RUNTIME.forget()


@pytest.fixture(autouse=True, scope="session")
def _tests_may_empty_the_trail() -> Iterator[None]:
    """After a test with real transactions every table is emptied; of the audit trail the database refuses that."""
    flush = BaseDatabaseOperations.execute_sql_flush

    def flush_with_trail(self: Any, statements: list[str]) -> None:
        flush(self, [guard.open_sql(), *statements, guard.close_sql()])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseOperations, "execute_sql_flush", flush_with_trail)
        yield
