from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from apps.accounts.models import User
from apps.console.management.commands.seed_demo import seed
from apps.core.clock import now
from tests.audit.trail import note

ROLES = ("viewer", "operator", "lead", "admin")


@pytest.fixture(autouse=True)
def _empty_cache(settings: Any, tmp_path: Path) -> Any:
    settings.DATA_DIR = tmp_path
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def portal(db: None) -> dict[str, User]:
    """A seeded portal, and a person of each role; ``other`` is somebody whom the others act upon."""
    seed(now(), scale=0.02)
    note(reason="first")
    people = {role: User.objects.create_user(f"{role}@example.com", "right-password", role=role) for role in ROLES}
    User.objects.create_user("other@example.com", "right-password", role="viewer")
    return people
