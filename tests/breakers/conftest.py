from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.breakers.runtime import RUNTIME
from tests.breakers.world import World, world


@pytest.fixture
def cluster() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture
def runtime() -> Iterator[None]:
    """The process's own runtime, begun anew, with its agent stopped before the database goes."""
    RUNTIME.forget()
    yield
    RUNTIME.forget()
