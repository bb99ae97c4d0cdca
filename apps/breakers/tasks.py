"""Celery tasks. Each takes nothing it could lose, and calls one function."""

from __future__ import annotations

from celery import shared_task

from apps.breakers.history import prune_history
from apps.breakers.selectors import database_ms


@shared_task(name="breakers.prune")
def prune() -> None:
    """Delete what breakers counted more than two weeks ago, in small batches."""
    prune_history(database_ms())
