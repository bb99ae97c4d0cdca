"""The routing, who is on call, and a source that is not well."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from hashlib import sha256
from typing import Any, Final

from apps.alerts.models import (
    AlertDelivery,
    AlertSource,
    DeliveryState,
    Quarantined,
    Refusal,
    Rotation,
    RotationOverride,
    RoutingVersion,
    SourceHour,
    SourceKind,
)
from apps.alerts.routing import DEFAULT, parsed

NAME: Final = "grafana-shop"
PEER: Final = "https://grafana.shop.example/"
PEOPLE: Final = (
    ("sari@example.com", "+6281234567801"),
    ("budi@example.com", "+6281234567802"),
    ("ana@example.com", "+6281234567803"),
)
TARGETS: Final[dict[str, dict[str, Any]]] = {
    "pagerduty": {"service": "pagerduty"},
    "alerts": {"service": "slack", "recipient": "#alerts"},
    "security": {"service": "slack", "recipient": "#security-alerts"},
    "management": {"service": "smtp", "recipient": "operations@example.com"},
    "cto": {"service": "smtp", "recipient": "cto@example.com"},
    "payments": {"service": "smtp", "recipient": "payments@example.com"},
    "on-call": {"rotation": "platform"},
    "owner": {"owner": True},
}


def make(moment: datetime) -> None:
    """Made up as of ``moment``; the same moment gives the same data."""
    make_routing(moment)
    make_rotations(moment)
    make_source(moment)


def make_routing(moment: datetime) -> None:
    """Three versions: the shipped one with our addresses, owners, and whoever is on call."""
    first = {**DEFAULT, "targets": {name: TARGETS[name] for name in TARGETS if name not in ("payments", "on-call")}}
    second = {
        **first,
        "targets": {**first["targets"], "payments": TARGETS["payments"]},
        "owners": {"payments": "payments"},
    }
    third = {**second, "targets": dict(TARGETS), "routes": [_with_on_call(route) for route in DEFAULT["routes"]]}
    kept = (
        (first, timedelta(days=41), "admin@example.com", "Our channels instead of the shipped ones"),
        (second, timedelta(days=18), "lead@example.com", "Payments own midtrans and want to hear of it"),
        (third, timedelta(days=3, hours=5), "lead@example.com", "Critical alerts call whoever is on call as well"),
    )
    for document, age, who, why in kept:
        parsed(document)
        version = RoutingVersion.objects.create(document=document, created_by=who, reason=why)
        RoutingVersion.objects.filter(pk=version.pk).update(created_at=moment - age)


def _with_on_call(route: dict[str, Any]) -> dict[str, Any]:
    if route["name"] != "critical":
        return route
    first, again, last = route["steps"]
    return {**route, "steps": [first, {**again, "notify": ["on-call", "pagerduty"]}, last]}


def make_rotations(moment: datetime) -> None:
    """Two: one with somebody who stands in tonight, one that begins next week and so has a gap."""
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    begins = (moment - timedelta(days=24)).astimezone(UTC).replace(hour=2, minute=0, second=0, microsecond=0)
    people = [{"email": email, "recipient": recipient} for email, recipient in PEOPLE]
    platform = Rotation.objects.create(
        name="platform", service="whatsapp", people=people, days=7, at=time(9), zone="Asia/Jakarta", begins=begins
    )
    RotationOverride.objects.create(
        rotation=platform,
        person="ana@example.com",
        since=hour - timedelta(hours=3),
        until=hour + timedelta(hours=5),
        reason="Sari is on a train until the evening",
        created_by="sari@example.com",
    )
    RotationOverride.objects.create(
        rotation=platform,
        person="dewi@example.com",
        recipient="+6281234567810",
        since=hour + timedelta(days=9),
        until=hour + timedelta(days=11),
        reason="Wedding of Budi; Dewi of payments stands in",
        created_by="budi@example.com",
    )
    Rotation.objects.create(
        name="database",
        service="smtp",
        people=[{"email": "rina@example.com", "recipient": "rina@example.com"}],
        days=14,
        at=time(10),
        zone="Europe/Berlin",
        begins=moment + timedelta(days=4),
    )


def make_source(moment: datetime) -> None:
    """A Grafana that cuts its posts off and sent nonsense twice; and somebody who posts with an old token."""
    source = AlertSource.objects.create(
        name=NAME,
        kind=SourceKind.GRAFANA,
        watchdog="",
        token_hash=sha256(b"made up").hexdigest(),
        previous_token_hash=sha256(b"made up, older").hexdigest(),
        last_post_at=moment - timedelta(minutes=3),
        agent="Grafana/11.2.0",
        payload_version="1",
        truncated=37,
        quarantined=2,
        peers={
            PEER: {
                "at": (moment - timedelta(minutes=3)).isoformat(),
                "address": "10.20.0.14",
                "agent": "Grafana/11.2.0",
            }
        },
        created_by="admin@example.com",
    )
    this_hour = moment.replace(minute=0, second=0, microsecond=0)
    SourceHour.objects.bulk_create(
        SourceHour(
            source=source,
            hour=this_hour - timedelta(hours=back),
            posts=4 + (back * 7) % 9,
            alerts=11 + (back * 5) % 17,
            truncated=12 if back == 2 else 0,
            quarantined=1 if back == 5 else 0,
            largest=18_000 + 900 * back,
        )
        for back in range(24)
    )
    _posts(source, moment)
    make_refusals(moment)


def _posts(source: AlertSource, moment: datetime) -> None:
    alert = {"status": "firing", "labels": {"alertname": "CheckoutSlow", "severity": "warning", "service": "midtrans"}}
    whole = json.dumps({"version": "1", "status": "firing", "externalURL": PEER, "alerts": [alert, "none"]}).encode()
    for minutes, body, state, problem in (
        (311, whole, DeliveryState.PROCESSED, ""),
        (52, b'{"version": "1", "alerts": [{"status": "fir', DeliveryState.QUARANTINED, "it is not JSON: cut short"),
    ):
        kept = AlertDelivery.objects.create(
            source=source,
            received_at=moment - timedelta(minutes=minutes),
            body=body,
            size=len(body),
            sha256=sha256(body).hexdigest(),
            headers={"Content-Type": "application/json", "User-Agent": "Grafana/11.2.0", "Authorization": "••••"},
            address="10.20.0.14",
            state=state,
            problem=problem,
            processed_at=moment - timedelta(minutes=minutes),
            external_url=PEER if not problem else "",
            alerts=0 if problem else 2,
            truncated=0 if problem else 12,
        )
        if not problem:
            Quarantined.objects.create(
                delivery=kept, position=1, reason="an alert is an object, this is a text", raw='"none"'
            )


def make_refusals(moment: datetime) -> None:
    for reason, address, agent, count, first, last in (
        ("wrong_token", "10.20.0.14", "Grafana/11.2.0", 214, timedelta(hours=17), timedelta(minutes=2)),
        ("no_token", "10.20.3.9", "curl/7.88.1", 3, timedelta(days=2), timedelta(days=2, minutes=-4)),
    ):
        made = Refusal.objects.create(reason=reason, address=address, agent=agent, count=count)
        Refusal.objects.filter(pk=made.pk).update(first_at=moment - first, last_at=moment - last)
