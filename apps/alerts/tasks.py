"""Celery tasks. Each takes nothing it could lose, and calls one function."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.signals import worker_ready

from apps.alerts import conditions, watcher
from apps.alerts.escalating import escalate
from apps.alerts.processing import process_all
from apps.alerts.reconciling import reconcile_all
from apps.alerts.retention import prune_all
from apps.alerts.settling import settle_all
from apps.alerts.silencing import follow_all


@shared_task(name="alerts.process")
def process() -> None:
    """Look now: there are stored deliveries."""
    try:
        process_all()
    finally:
        escalate()


@shared_task(name="alerts.reconcile")
def reconcile() -> None:
    """Ask each Alertmanager what is true now."""
    reconcile_all()


@shared_task(name="alerts.settle")
def settle() -> None:
    """Resolve what has been normal long enough, and notice sources that fell silent."""
    try:
        # After an outage posts lie there unread: whoever goes by time alone would page for what is over.
        process_all()
        conditions.look()
        settle_all()
    finally:
        # Whatever else is in trouble, people are told.
        escalate()


@shared_task(name="alerts.silences")
def silences() -> None:
    """Have Alertmanager follow the silences that people want."""
    follow_all()


@shared_task(name="alerts.prune")
def prune() -> None:
    """Delete old bodies, log lines and resolved alerts."""
    prune_all()


@worker_ready.connect
def watch(**_: Any) -> None:
    """Every worker watches the escalation, also the one that only delivers."""
    watcher.start()
