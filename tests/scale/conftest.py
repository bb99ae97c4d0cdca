"""A portal with a month of use: 1,000,000 messages and 100,000 dead letters on PostgreSQL, a fifth of it on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection

from apps.core.clock import now
from bench.bulk import LETTERS, MESSAGES, fill

# SQLite needs three times as long for the same rows, and what an index saves shows with fewer.
SHARE_ON_SQLITE = 5


@pytest.fixture(scope="package")
def month(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Committed, looked at by all tests of this package, and removed again."""
    share = 1 if connection.vendor == "postgresql" else SHARE_ON_SQLITE
    with django_db_blocker.unblock():
        fill(now(), MESSAGES // share, LETTERS // share)
        yield
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()
