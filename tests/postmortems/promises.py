"""Incidents that are over, with their alerts, post-mortems and promises."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from apps.accounts.models import User
from apps.alerts.models import AlertSource, Episode
from apps.core.db import database_now
from apps.incidents.models import Incident, IncidentEpisode
from apps.postmortems.models import ActionItem, PostMortem


def made_episode(name: str = "QueueFull", service: str = "midtrans", **fields: Any) -> Episode:
    now = database_now()
    source = AlertSource.objects.get_or_create(pk="eu1")[0]
    given = {"name": name, "service": service, "severity": "critical", "state": "resolved", "resolved_at": now}
    times = {"first_seen_at": now - timedelta(hours=1), "last_fired_at": now}
    given |= {"fingerprint": f"f{Episode.objects.count()}", "labels": {"alertname": name}}
    return Episode.objects.create(source=source, **{**given, **times, **fields})


def made_postmortem(*episodes: Episode, title: str = "Payments stood still", **fields: Any) -> PostMortem:
    now = database_now()
    incident = Incident.objects.create(
        title=title,
        severity="sev1",
        state="resolved",
        origin="hand",
        started_at=now - timedelta(hours=2),
        detected_at=now - timedelta(hours=2),
        resolved_at=now - timedelta(hours=1),
        created_by="ana@example.com",
    )
    for episode in episodes:
        IncidentEpisode.objects.create(incident=incident, episode=episode, added_at=now, added_by="ana@example.com")
    return PostMortem.objects.create(incident=incident, title=title, **fields)


def made_item(postmortem: PostMortem | None = None, *, in_days: int = 7, **fields: Any) -> ActionItem:
    """Due ``in_days`` from today (UTC); its owner is nobody who has an account."""
    due: date = (database_now() + timedelta(days=in_days)).date()
    given = {
        "text": "Put a limit on the queue",
        "owner": "budi@example.com",
        "due": due,
        "created_by": "ana@example.com",
    }
    return ActionItem.objects.create(postmortem=postmortem or made_postmortem(), **{**given, **fields})


def made_user(email: str, role: str = "operator", **fields: Any) -> User:
    return User.objects.create_user(email, "right-password", role=role, **fields)
