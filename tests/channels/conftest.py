"""A server for each test that wants one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.channels.support import Server, http_server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with http_server() as state:
        yield state
