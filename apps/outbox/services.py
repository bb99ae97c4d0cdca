"""Accepting messages. A message is accepted when its row is committed; nothing else can make that fail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.core.errors import NotFound, PortalError
from apps.idempotency.services import run_once
from apps.outbox.acceptance import UNSET, Checked, NewMessage, check, from_mapping
from apps.outbox.insert import insert
from apps.outbox.models import MessageStatus
from apps.outbox.nudge import nudge
from apps.services.models import Service


@dataclass(frozen=True, slots=True)
class Accepted:
    """``duplicate`` is true when the idempotency key had been used before with the same content."""

    message_id: int
    service: str
    status: str
    duplicate: bool = False


def enqueue(
    *,
    service: str,
    recipient: str = "",
    subject: str = "",
    body_template: str = "",
    body_data: Mapping[str, Any] | None = None,
    template: str = "",
    json: Any = UNSET,
    payload: str | None = None,
    content_type: str = "",
    headers: Mapping[str, str] | None = None,
    tenant_id: str = "",
    priority: int = 5,
    ordering_key: str = "",
    send_after: datetime | None = None,
    expires_at: datetime | None = None,
    max_attempts: int | None = None,
    idempotency_key: str = "",
    source: str = "",
    edited_from: int | None = None,
) -> Accepted:
    """Accept one message in the caller's transaction; it is delivered after that commits.

    Raises :class:`Invalid` naming each wrong field, :class:`NotFound` for an unknown service,
    :class:`Conflict` while the first use of the same ``idempotency_key`` is under way.
    """
    return accept(
        NewMessage(
            service=service,
            recipient=recipient,
            subject=subject,
            body_template=body_template,
            body_data=body_data,
            template=template,
            json=json,
            payload=payload,
            content_type=content_type,
            headers=headers,
            tenant_id=tenant_id,
            priority=priority,
            ordering_key=ordering_key,
            send_after=send_after,
            expires_at=expires_at,
            max_attempts=max_attempts,
            idempotency_key=idempotency_key,
            source=source,
            edited_from=edited_from,
        )
    )


def accept(message: NewMessage) -> Accepted:
    """Accept one message that has been put into words already. See :func:`enqueue`."""
    with transaction.atomic():
        accepted = _accept_checked(check(message, channel_of(message.service)))
        nudge()
    return accepted


def enqueue_many(items: Sequence[Mapping[str, Any]]) -> list[Accepted | PortalError]:
    """Accept a batch in one transaction, with an answer per item; a bad item does not stop the others."""
    answers: list[Accepted | PortalError] = []
    channels: dict[str, str] = {}
    plain: list[tuple[int, Checked]] = []
    with transaction.atomic():
        for position, item in enumerate(items):
            try:
                checked = _check_item(item, channels)
                if checked.message.idempotency_key:
                    answers.append(_accept_checked(checked))
                    continue
                plain.append((position, checked))
                answers.append(Accepted(0, checked.message.service, MessageStatus.PENDING))
            except PortalError as error:
                answers.append(error)
        for (position, checked), message_id in zip(plain, insert([item for _, item in plain]), strict=True):
            answers[position] = Accepted(message_id, checked.message.service, MessageStatus.PENDING)
        nudge()
    return answers


def _check_item(item: Mapping[str, Any], channels: dict[str, str]) -> Checked:
    message = from_mapping(item)
    if message.service not in channels:
        channels[message.service] = channel_of(message.service)
    return check(message, channels[message.service])


def channel_of(service: str) -> str:
    """The channel of a configured service; raises :class:`NotFound` with the names there are."""
    channel = Service.objects.filter(pk=service).values_list("channel", flat=True).first() if service else None
    if channel is None:
        known = ", ".join(Service.objects.values_list("name", flat=True)[:20]) or "none yet"
        raise NotFound(
            _(
                "There is no service named {service}. Configured: {known}. "
                "Add it to config/services.yaml and run `manage.py sync_services`."
            ).format(service=repr(service), known=known),
            detail=[{"field": "service", "message": "is not a configured service"}],
        )
    return channel


def _accept_checked(checked: Checked) -> Accepted:
    message = checked.message
    if not message.idempotency_key:
        return _store(checked)
    outcome = run_once(
        scope=f"message:{message.source}:{message.tenant_id}",
        key=message.idempotency_key,
        payload=_fingerprint(checked),
        work=lambda: _store(checked).message_id,
    )
    return Accepted(outcome.answer, message.service, MessageStatus.PENDING, duplicate=outcome.replayed)


def _store(checked: Checked) -> Accepted:
    (message_id,) = insert([checked])
    return Accepted(message_id, checked.message.service, MessageStatus.PENDING)


def _fingerprint(checked: Checked) -> bytes:
    """What decides whether a second use of a key carries the same content."""
    message = checked.message
    parts = [
        message.service,
        message.recipient,
        message.subject,
        message.body_template,
        json.dumps(message.body_data or {}, sort_keys=True, default=str),
        message.template,
        checked.json_text,
        message.payload,
        message.content_type,
        json.dumps(dict(message.headers or {}), sort_keys=True),
        message.priority,
        message.ordering_key,
        str(message.send_after),
        str(message.expires_at),
        message.max_attempts,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).digest()
