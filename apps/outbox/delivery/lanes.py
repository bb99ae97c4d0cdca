"""A lane: one service as one engine sees it. Its channel, its policies, its free slots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from apps.breakers.guard import Breaker
from apps.channels.base import Channel, Envelope
from apps.outbox.delivery.claim import Claimed, Want
from apps.outbox.rendering import RenderingFailed, render, render_line
from apps.outbox.templating.choosing import Stored, TemplateKey, key_of
from apps.services.policies import BreakerPolicy, Limits, Ordering, RetryPolicy

# A lease outlives the request by this much: time to connect, to settle and for a slow database.
LEASE_MARGIN_S: Final = 10.0
JSON_TYPE: Final = "application/json"
TEXT_TYPE: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class LaneConfig:
    """What the database says about a service, read on the engine's database thread."""

    service: str
    version: tuple[int, Any]
    channel_kind: str
    settings: Mapping[str, Any]
    secrets: tuple[str, ...]
    retry: RetryPolicy
    breaker: BreakerPolicy
    limits: Limits
    ordering: Ordering


@dataclass(slots=True)
class Lane:
    """``in_flight`` counts what this process has claimed and not settled; claiming adds that of the others."""

    config: LaneConfig
    channel: Channel
    breaker: Breaker
    in_flight: int = 0
    next_look: float = 0.0

    def want(self, slots: int) -> Want:
        """Ask for ``slots`` messages, leased for longer than a request may take."""
        config = self.config
        return Want(
            service=config.service,
            slots=slots,
            lease_s=config.breaker.timeout + LEASE_MARGIN_S,
            max_in_flight=config.limits.max_in_flight,
            max_per_second=config.limits.max_per_second,
            in_flight=self.in_flight,
            skip_waiting_head=config.ordering.waiting_head == "skip",
        )


def envelope_of(row: Claimed, service: str, templates: Mapping[TemplateKey, Stored]) -> Envelope:
    """What goes to the channel. Raises :class:`RenderingFailed` when the template cannot be rendered.

    ``templates`` holds the texts of the named templates of the claim. A subject of the message's own wins.
    """
    named = _named(row, templates) if row.template else None
    body, content_type = _body_of(row, named)
    subject = row.subject
    if named is not None and named.subject and not subject:
        subject = render_line(named.subject, json.loads(row.body_data or "{}"))
    uid = row.uid if isinstance(row.uid, str) else row.uid.hex  # SQLite hands it over as text
    wire_id = f"msg_{uid}"
    return Envelope(
        message_id=row.id,
        wire_id=wire_id,
        idempotency_key=row.idempotency_key or wire_id,
        service=service,
        tenant_id=row.tenant_id,
        recipient=row.recipient,
        subject=subject,
        body=body,
        content_type=content_type,
        headers=json.loads(row.headers) if row.headers else NO_HEADERS,
        attempt=row.attempt_total + 1,
        request_id=row.request_id,
        traceparent=row.traceparent,
    )


NO_HEADERS: Final[Mapping[str, str]] = {}


def _named(row: Claimed, templates: Mapping[TemplateKey, Stored]) -> Stored:
    found = templates.get(key_of(row))
    if found is None:
        version = f" version {row.template_version}" if row.template_version else ""
        raise RenderingFailed(f"there is no template named {row.template!r}{version} for this channel and language")
    return found


def _body_of(row: Claimed, named: Stored | None) -> tuple[bytes, str]:
    if row.payload is not None:
        return row.payload.encode(), row.content_type or JSON_TYPE
    if row.json is not None:
        return row.json.encode(), row.content_type or JSON_TYPE
    source = row.body_template if named is None else named.body
    content_type = row.content_type or (TEXT_TYPE if named is None else named.content_type)
    text = render(source, json.loads(row.body_data or "{}"), html="html" in content_type)
    return text.encode(), content_type
