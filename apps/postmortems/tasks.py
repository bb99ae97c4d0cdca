"""Celery tasks. Each takes nothing it could lose, and calls one function."""

from __future__ import annotations

from celery import shared_task

from apps.postmortems.begun import draft_missing
from apps.postmortems.reminders import remind_all
from apps.postmortems.renewing import renew_all


@shared_task(name="postmortems.sweep")
def sweep() -> None:
    """Draft what incidents that are over still lack, and look for later facts."""
    draft_missing()
    renew_all()


@shared_task(name="postmortems.remind")
def remind() -> None:
    """Remind owners of what is due or overdue."""
    remind_all()
