"""The clock, in one place, so that tests can set it."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone


def now() -> datetime:
    """The time of this host, UTC and aware. Leases use the database's clock instead."""
    return timezone.now()
