"""Celery tasks. Each takes nothing it could lose, and calls one function."""

from __future__ import annotations

from celery import shared_task

from apps.audit import checks


@shared_task(name="audit.check")
def check() -> None:
    """Verify what is new in the trail, the whole of it every night, and what somebody asked for."""
    checks.look()
