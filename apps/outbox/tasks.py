"""Celery tasks. Each takes nothing it could lose, and calls one function."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from apps.outbox.deadletters import retention, working
from apps.outbox.delivery import runner, sweeps
from apps.outbox.replays.tasks import advance_replays

__all__ = ["advance_replays", "advance_triage", "deliver", "prune", "sweep"]


@shared_task(name="outbox.deliver")
def deliver() -> None:
    """Look now: wake the engine of this process, or become it."""
    runner.deliver()


@shared_task(name="outbox.sweep")
def sweep() -> None:
    """Rescue, expire and release even while no engine runs."""
    sweeps.run_all()


@shared_task(name="outbox.prune")
def prune() -> None:
    """Delete old delivered messages and closed dead letters in small batches."""
    sweeps.prune_all()
    retention.prune_all(settings.KEEP_CLOSED_LETTERS_DAYS)


@shared_task(name="outbox.advance_triage")
def advance_triage() -> None:
    """Go on with what somebody did to more letters than a request could wait for."""
    working.advance_all()
