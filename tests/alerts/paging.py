"""Channels and a routing to page people through, and what was sent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from apps.alerts.escalating import escalate
from apps.alerts.models import Notification
from apps.alerts.policies import save_routing
from apps.alerts.routing import DEFAULT
from apps.core.actor import SYSTEM
from apps.outbox.models import Attempt, Message, MessageStatus
from tests.conftest import make_service


def make_channels(**routing: Any) -> None:
    make_service("pagerduty", channel="pagerduty", settings={})
    make_service("slack", channel="slack", settings={"mode": "api", "channel": "#alerts"})
    make_service("smtp", channel="email", settings={"host": "127.0.0.1", "from_address": "ops@example.com"})
    document = {**DEFAULT, **routing}
    people = {"cto": {"service": "smtp", "recipient": "cto@example.com"}}
    document["targets"] = {
        **DEFAULT["targets"],
        "management": {"service": "smtp", "recipient": "m@example.com"},
        **people,
    }
    save_routing(document=document, actor=SYSTEM, reason="test")


def sent() -> list[tuple[str, str]]:
    return list(Message.objects.order_by("pk").values_list("service_id", "recipient"))


def texts(service: str) -> list[str]:
    return [message.json or message.payload or "" for message in Message.objects.filter(service=service).order_by("pk")]


def settle(status: str, **which: Any) -> int:
    """As the delivery engine leaves them."""
    return Message.objects.filter(status=MessageStatus.PENDING, **which).update(status=status)


def arrived(**which: Any) -> None:
    settle(MessageStatus.SENT, **which)


def died(**which: Any) -> None:
    settle(MessageStatus.DLQ, **which)


def age(seconds: int, **which: Any) -> None:
    """Accepted so long ago."""
    for message in Message.objects.filter(**which):
        before = message.created_at - timedelta(seconds=seconds)
        Message.objects.filter(pk=message.pk).update(created_at=before)


def answered(message: Message, response: str) -> None:
    Attempt.objects.create(
        message=message,
        number=1,
        started_at=message.created_at,
        duration_ms=5,
        worker="w",
        outcome="sent",
        response=response,
    )


def pages() -> list[tuple[int, str, str]]:
    """Step, target and outcome of each page."""
    found = Notification.objects.filter(kind__in=("page", "instead")).order_by("pk")
    return list(found.values_list("step", "target", "outcome"))


def sweep(start: datetime, seconds: int, every: int = 5) -> None:
    for passed in range(0, seconds + 1, every):
        escalate(start + timedelta(seconds=passed))
