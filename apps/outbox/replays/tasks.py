"""The tick of replays."""

from __future__ import annotations

from celery import shared_task

from apps.outbox.replays.advance import advance_all


@shared_task(name="outbox.advance_replays")
def advance_replays() -> None:
    """Take every replay one step further. Safe to run twice at once: a replay is locked while it moves."""
    advance_all()
