"""Post-mortems and what was promised in them."""

from __future__ import annotations

from datetime import datetime


def make(moment: datetime) -> None:
    """Made up as of ``moment``; the same moment gives the same data."""
