"""Plain helpers of the outbox tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from apps.channels.base import DeliveryError, Receipt
from apps.outbox.delivery.claim import Claimed, Want, claim
from apps.outbox.delivery.outcome import Report, failed, sent
from apps.outbox.models import DeliveryLane, Message
from apps.services.models import Service


def put(service: Service, **fields: Any) -> Message:
    """A waiting message."""
    fields.setdefault("payload", "{}")
    return Message.objects.create(service=service, **fields)


def take(service: Service, slots: int = 10, *, worker: str = "worker-1", lease_s: float = 30) -> list[Claimed]:
    """Claim messages of a service, as an engine does."""
    DeliveryLane.objects.get_or_create(service=service)
    want = Want(service=service.name, slots=slots, lease_s=lease_s, max_in_flight=1000, max_per_second=None)
    return claim(want, worker).rows


def success(row: Claimed, service: Service, *, seconds: float = 0.05) -> Report:
    return sent(row, service.name, datetime.now(UTC), seconds, Receipt(200, "ok"))


def failure(row: Claimed, service: Service, text: str = "HTTP 500 Internal Server Error", **fields: Any) -> Report:
    fields.setdefault("error_class", "http_5xx")
    fields.setdefault("status_code", 500)
    return failed(row, service.name, datetime.now(UTC), 0.05, DeliveryError(text, **fields))
