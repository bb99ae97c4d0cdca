"""Periodic work on log-ins."""

from __future__ import annotations

from celery import shared_task

from apps.accounts.sessions import clean_sessions


@shared_task(name="accounts.clean")
def clean() -> int:
    """Forget sessions and password links that have expired."""
    return clean_sessions()
