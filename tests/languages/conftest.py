"""A seeded portal and people who look at it, as in tests/console, in a language that is made up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.console.conftest import empty_cache, night, person  # noqa: F401  fixtures
from tests.languages.pseudo import pseudo_language


@pytest.fixture
def pseudo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Indonesian is replaced by accented English: ⟦Śéŕṽíćéś⟧. Whatever stays plain was not translatable."""
    with pseudo_language(monkeypatch):
        yield
