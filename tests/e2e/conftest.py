from __future__ import annotations

from tests.tooling.conftest import database_url, make_run

__all__ = ["database_url", "make_run"]
