"""Celery tasks. Each takes nothing it could lose, and calls one function."""

from __future__ import annotations

from celery import shared_task

from apps.incidents.sweeping import sweep
from apps.incidents.timeline import collect_due


@shared_task(name="incidents.sweep")
def look() -> None:
    """Open, grow, open again and end what does so by itself."""
    sweep()


@shared_task(name="incidents.collect")
def collect() -> None:
    """Fill the timelines of what runs, and of what ended just now."""
    collect_due()
