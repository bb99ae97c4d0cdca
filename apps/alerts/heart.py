"""The heartbeat of the escalation: a row that says when the sweep last ran to its end."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db.models import Q

from apps.alerts.models import EngineHeartbeat

NAME: Final = "escalation"


def last_beat() -> datetime | None:
    return EngineHeartbeat.objects.filter(pk=NAME).values_list("beat_at", flat=True).first()


def beat(now: datetime) -> None:
    """Only ever forward: a sweep that took long does not undo what a later one wrote."""
    if not EngineHeartbeat.objects.filter(Q(beat_at__lte=now), pk=NAME).update(beat_at=now):
        EngineHeartbeat.objects.get_or_create(pk=NAME, defaults={"beat_at": now})
