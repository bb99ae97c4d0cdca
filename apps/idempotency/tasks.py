"""Periodic work of the idempotency store."""

from __future__ import annotations

from celery import shared_task

from apps.idempotency.services import clean_expired


@shared_task(name="idempotency.clean")
def clean() -> None:
    """Remove what is past its time."""
    clean_expired()
