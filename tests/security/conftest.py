from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction

from tests.security.portal import Portal, make_portal


@pytest.fixture(autouse=True)
def _empty_cache(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.DATA_DIR = tmp_path
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(scope="module")
def seeded(django_db_setup: None, django_db_blocker: Any) -> Iterator[Portal]:
    """One portal for all tests of a module: making it takes longer than asking it a hundred questions."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield make_portal()
        transaction.set_rollback(True)


@pytest.fixture
def portal(seeded: Portal, db: None) -> Portal:
    """The portal as it was made; what a test changes is undone."""
    return seeded
