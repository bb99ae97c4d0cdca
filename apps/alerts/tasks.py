"""Celery tasks. Each takes nothing it could lose, and calls one function."""

from __future__ import annotations

from celery import shared_task

from apps.alerts import conditions
from apps.alerts.escalating import escalate
from apps.alerts.processing import process_all
from apps.alerts.reconciling import reconcile_all
from apps.alerts.settling import settle_all


@shared_task(name="alerts.process")
def process() -> None:
    """Look now: there are stored deliveries."""
    process_all()
    escalate()


@shared_task(name="alerts.reconcile")
def reconcile() -> None:
    """Ask each Alertmanager what is true now."""
    reconcile_all()


@shared_task(name="alerts.settle")
def settle() -> None:
    """Resolve what has been normal long enough, and notice sources that fell silent."""
    conditions.look()
    settle_all()
    escalate()
