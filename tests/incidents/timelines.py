"""Facts of an outage of midtrans, made as the apps below make them, and its incident."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection

from apps.breakers.models import BreakerEvent, SharedBreaker
from apps.incidents.models import Incident, IncidentEpisode, IncidentThing, TimelineEntry
from apps.outbox.models import Cause, DeadLetter, DeliveryMinute, Message

EVIDENCE = {
    "counts": {"ok": 2, "fail": 8, "timeout": 0, "slow": 0},
    "rule": {"percentage": 50, "comparison": ">=", "volume": 5, "window": 10, "slow": None},
    "errors": [{"class": "http_503", "count": 8, "samples": ["1"]}],
    "workers": [{"worker": "w1", "ok": 2, "fail": 8, "timeout": 0}],
}


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def incident(began: datetime, *services: str, **fields: Any) -> Incident:
    given = {"title": "midtrans is down", "severity": "sev1", "origin": "hand", "created_by": "ana@example.com"}
    made = Incident.objects.create(**{**given, "started_at": began, "detected_at": began, **fields})
    for name in services:
        IncidentThing.objects.create(incident=made, kind="service", ref=name, added_at=began, added_by="ana")
    return made


def link(to: Incident, *episodes: Any) -> None:
    for row in episodes:
        IncidentEpisode.objects.create(incident=to, episode=row, added_at=to.started_at, added_by="ana")


def breaker_event(name: str, kind: str, at: datetime, **fields: Any) -> BreakerEvent:
    row, _ = SharedBreaker.objects.get_or_create(name=name)
    detail = EVIDENCE if kind == "opened" else {}
    return BreakerEvent.objects.create(breaker=row, at=ms(at), epoch=2, kind=kind, **{"detail": detail, **fields})


def minute(name: str, at: datetime, failed: int, **fields: Any) -> DeliveryMinute:
    at = at.replace(second=0, microsecond=0)
    return DeliveryMinute.objects.create(service=name, minute=at, failed=failed, **fields)


def cause(name: str = "midtrans", fingerprint: str = "a" * 16, **fields: Any) -> Cause:
    given = {"error_class": "http_503", "status_code": 503, "message": "HTTP 503"}
    return Cause.objects.create(fingerprint=fingerprint, service=name, **{**given, **fields})


def deaths(of: Cause, at: datetime, count: int) -> None:
    """Letters of one message, closed since, so that thousands are made in a few statements."""
    died = Message.objects.create(service_id=of.service, payload="x", status="DLQ")
    shared = {"message": died, "service": of.service, "cause": of, "reason": "exhausted", "state": "discarded"}
    DeadLetter.objects.create(**shared, died_at=at)
    columns = ", ".join(field.column for field in DeadLetter._meta.concrete_fields if not field.primary_key)
    double = f"INSERT INTO dead_letter ({columns}) SELECT {columns} FROM dead_letter WHERE message_id = %s LIMIT %s"
    made = 1
    with connection.cursor() as cursor:
        while made < count:
            cursor.execute(double, [died.pk, count - made])
            made += cursor.rowcount


def refs(of: Incident, source: str = "") -> list[str]:
    rows = TimelineEntry.objects.filter(incident=of)
    return list((rows.filter(source=source) if source else rows).values_list("ref", flat=True))


def whats(of: Incident) -> list[str]:
    return list(TimelineEntry.objects.filter(incident=of).values_list("what", flat=True))
