"""An incident with everything a post-mortem counts, at fixed times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from apps.alerts.models import AlertSource, Episode, Escalation, Notification
from apps.alerts.severity import Severity as AlertSeverity
from apps.breakers.models import BreakerEvent, SharedBreaker
from apps.core.actor import SYSTEM
from apps.incidents.models import Incident, IncidentEpisode, IncidentThing, TimelineEntry
from apps.outbox.models import Cause, DeadLetter, DeliveryMinute, Message
from apps.postmortems.models import PostMortem
from apps.postmortems.services import draft
from apps.services.models import Service
from tests.conftest import make_service

NOON = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=12)
GOOD = {
    "summary": "Payments stood still.",
    "impact": "Customers waited.",
    "root_causes": "A certificate ran out.",
    "no_items": "The certificate renews itself now.",
}


def at(minutes: float, seconds: float = 0) -> datetime:
    return NOON + timedelta(minutes=minutes, seconds=seconds)


def ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)


def make_incident(**fields: Any) -> Incident:
    """From 12:00 to 12:40, known of after two minutes; over unless ``state`` says otherwise."""
    given = {
        "title": "Payments fail",
        "severity": "sev1",
        "state": "resolved",
        "origin": "hand",
        "started_at": at(0),
        "detected_at": at(2),
        "acknowledged_at": at(5, 30),
        "resolved_at": at(40),
        "created_by": "ana@example.com",
        **fields,
    }
    return Incident.objects.create(**given)


def about(incident: Incident, *services: str) -> None:
    for name in services:
        service(name)
        IncidentThing.objects.create(incident=incident, kind="service", ref=name, added_at=at(2), added_by="ana")


def service(name: str) -> Service:
    return Service.objects.filter(pk=name).first() or make_service(name)


def message(name: str, **fields: Any) -> Message:
    """One that was accepted and sent at once, unless told otherwise."""
    fields.setdefault("created_at", at(10))
    if fields.get("status", "SENT") == "SENT":
        fields.setdefault("sent_at", fields["created_at"] + timedelta(seconds=1))
    return Message.objects.create(**{"service": service(name), "status": "SENT", "payload": "{}", **fields})


def letter(name: str, died_at: datetime, **fields: Any) -> DeadLetter:
    cause, _made = Cause.objects.get_or_create(fingerprint=f"f-{name}"[:16], defaults={"service": name})
    dead = message(name, status="DLQ", created_at=died_at - timedelta(minutes=1))
    given = {"reason": "exhausted", "tenant_id": "", "state": "open", **fields}
    return DeadLetter.objects.create(message=dead, service=name, cause=cause, died_at=died_at, **given)


def minute(name: str, when: datetime, **counts: int) -> DeliveryMinute:
    return DeliveryMinute.objects.create(service=name, minute=when, **counts)


def breaker(name: str, *events: tuple[str, datetime]) -> None:
    service(name)
    row, _made = SharedBreaker.objects.get_or_create(name=name)
    for epoch, (kind, when) in enumerate(events):
        detail = {"override": "FORCED_OPEN"} if kind == "override_ended" else {"wait": 60}
        BreakerEvent.objects.create(breaker=row, at=ms(when), epoch=epoch, kind=kind, detail=detail)


def episode(incident: Incident, name: str = "PaymentsFail", service_name: str = "", **fields: Any) -> Episode:
    source, _made = AlertSource.objects.get_or_create(name="eu1", defaults={"created_by": "ana"})
    given = {
        "fingerprint": f"{name}-{Episode.objects.count()}",
        "severity": AlertSeverity.CRITICAL,
        "state": "resolved",
        "first_seen_at": at(2),
        "last_fired_at": at(3),
        "resolved_at": at(38),
        **fields,
    }
    made = Episode.objects.create(source=source, name=name, service=service_name, **given)
    IncidentEpisode.objects.create(incident=incident, episode=made, added_at=at(2), added_by="ana")
    return made


def page(about_episode: Episode, recipient: str, message_id: int | None, **fields: Any) -> Notification:
    escalation, _made = Escalation.objects.get_or_create(
        episode=about_episode, defaults={"route": "r", "policy": {}, "started_at": at(2)}
    )
    given = {
        "step": Notification.objects.filter(escalation=escalation).count(),
        "kind": "page",
        "target": recipient[:64],
        "service": "slack",
        "outcome": "queued",
        "planned_at": at(2),
        "decided_at": at(2),
        **fields,
    }
    return Notification.objects.create(escalation=escalation, recipient=recipient, message_id=message_id, **given)


def line(incident: Incident, when: datetime, ref: str, **fields: Any) -> TimelineEntry:
    given = {"source": "hand", "what": "note", "text": f"note {ref}", "actor": "ana@example.com", **fields}
    return TimelineEntry.objects.create(incident=incident, at=when, ref=ref, **given)


def outage() -> Incident:
    """Everything happens twice: within the incident, and where it must not be counted."""
    incident = make_incident()
    about(incident, "midtrans", "smtp")
    for name, extra in (("midtrans", 3), ("smtp", 1), ("other", 7)):
        for _ in range(extra):
            message(name, sent_at=at(20))  # late
            letter(name, at(15))
        message(name)  # in time
        message(name, created_at=at(-30), sent_at=at(20))  # accepted before
        message(name, created_at=at(40), sent_at=at(60))  # accepted when it was over
        message(name, send_after=at(19, 30), sent_at=at(20))  # was not to be sent earlier
        message(name, status="PENDING", created_at=at(39))  # waits still
        message(name, status="EXPIRED", settled_at=at(30))
        message(name, status="EXPIRED", settled_at=at(41))
        letter(name, at(-1))
        letter(name, at(40))
        minute(name, at(-1), failed=50)
        minute(name, at(0), sent=4, failed=2, timed_out=1, died=1)
        minute(name, at(7), sent=2, failed=10, slowed=9)
        minute(name, at(40), failed=99)
    opened = (("opened", at(-5)), ("closed", at(-4)), ("opened", at(3)), ("reopened", at(9)), ("closed", at(23)))
    breaker("midtrans", *opened)
    breaker("smtp", ("forced_open", at(-2)), ("reset", at(4)), ("opened", at(35)))
    breaker("other", ("opened", at(0)))
    first, second = episode(incident, service_name="midtrans"), episode(incident, "SlowMail")
    page(first, "#alerts", 11)
    page(second, "#alerts", 11)  # the same message speaks of both
    page(second, "cto@example.com", 12)
    page(second, "nobody", None, outcome="impossible")
    page(first, "#alerts", 13, kind="resolved")
    line(incident, at(3), "1", pinned=True)
    line(incident, at(4), "2", hidden=True)
    line(incident, at(1), "3", source="alerts", what="fired", text="", detail={"alert": "PaymentsFail"})
    return incident


def drafted(**fields: Any) -> PostMortem:
    return draft(incident_id=make_incident(**fields).pk, actor=SYSTEM)


def sql(text: str, *given: Any) -> Any:
    """The first column of the first row, as the database itself sees it."""
    with connection.cursor() as cursor:
        cursor.execute(text, [_adapted(value) for value in given])
        return cursor.fetchone()[0]


def _adapted(value: Any) -> Any:
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value
