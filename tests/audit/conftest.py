from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _anchors_of_this_test_only(settings: Any, tmp_path: Path) -> None:
    """Anchors are kept in DATA_DIR, and every test begins with an empty trail."""
    settings.DATA_DIR = tmp_path
