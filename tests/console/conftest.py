"""A seeded portal, small, and people who look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.core.cache import cache
from django.test import Client

from apps.accounts.models import User
from apps.console.management.commands.seed_demo import seed
from apps.core.clock import now


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def night(db: None) -> None:
    """The made-up night, a twentieth of it."""
    seed(now(), scale=0.05)


def make_person(role: str, email: str = "") -> User:
    address = email or f"{role}@example.com"
    return User.objects.create_user(address, "right-password", role=role)


@pytest.fixture
def person(db: None) -> Callable[[str], Client]:
    """``person("viewer")`` is a browser in which a viewer is logged in."""

    def log_in(role: str) -> Client:
        client = Client()
        client.force_login(User.objects.filter(role=role).first() or make_person(role))
        return client

    return log_in
