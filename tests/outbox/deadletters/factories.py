"""Plain helpers: dead messages with their letters."""

from __future__ import annotations

from typing import Any

from apps.outbox.deadletters.causes import fingerprint
from apps.outbox.models import Cause, DeadLetter, DeathReason, Message, MessageStatus
from apps.services.models import Service


def bury(message: Message, error: str = "HTTP 500 Internal Server Error", **fields: Any) -> DeadLetter:
    """Let ``message`` die, as the engine does: its status and a letter, with their cause."""
    fields.setdefault("status_code", 500)
    fields.setdefault("error_class", "http_5xx")
    fields.setdefault("reason", DeathReason.EXHAUSTED)
    fields.setdefault("tenant_id", message.tenant_id)
    key, text = fingerprint(message.service_id, fields["error_class"], fields["status_code"], error)
    Cause.objects.get_or_create(
        fingerprint=key,
        defaults={
            "service": message.service_id,
            "message": text,
            "error_class": fields["error_class"],
            "status_code": fields["status_code"],
        },
    )
    Message.objects.filter(pk=message.pk).update(status=MessageStatus.DLQ, last_error=error, attempt_count=5)
    return DeadLetter.objects.create(message=message, service=message.service_id, cause_id=key, error=error, **fields)


def dead(service: Service, error: str = "HTTP 500 Internal Server Error", **fields: Any) -> DeadLetter:
    """A dead message of ``service``; ``fields`` of the message."""
    letter_fields = {name: fields.pop(name) for name in list(fields) if name in LETTER_FIELDS}
    fields.setdefault("payload", "{}")
    return bury(Message.objects.create(service=service, **fields), error, **letter_fields)


LETTER_FIELDS = frozenset({"reason", "status_code", "error_class", "died_at", "ambiguous", "state"})
