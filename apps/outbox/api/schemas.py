"""Bodies and answers of the operations on messages. The fields are those of docs/reference/api.md."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, get_args

from ninja import Schema
from pydantic import ConfigDict, Field

from apps.core.api_types import Body, ErrorInfo, OneLine, RowId, Text, Time
from apps.outbox.models import AttemptOutcome, MessageStatus
from apps.outbox.templating.tags import MAX_REFERENCE

Status = Literal["PENDING", "RETRYING", "SENDING", "SENT", "DLQ", "CANCELLED", "EXPIRED"]
BreakerState = Literal["CLOSED", "OPEN", "HALF_OPEN", "FORCED_OPEN", "FORCED_CLOSED", "METRICS_ONLY"]
Outcome = Literal["sent", "failed", "timed_out", "ambiguous", "slowed", "lost", "stale"]

# These words are for the API's document; importing fails should one be added elsewhere only.
if set(get_args(Status)) != set(MessageStatus.values) or set(get_args(Outcome)) != set(AttemptOutcome.values):
    raise ImportError("apps.outbox.api.schemas no longer names every status and outcome of apps.outbox.models")


class MessageIn(Body):
    """One call that must not be lost. Exactly one of body_template, template, json and payload makes its body."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [{"service": "midtrans", "json": {"order_id": "A-1001", "amount": 125000}}],
        },
    )

    service: OneLine = Field(min_length=1, max_length=64, description="a configured service")
    recipient: Text = Field("", max_length=2000, description="address, number or channel, as the service wants it")
    subject: OneLine = Field("", max_length=2000)
    body_template: Text = Field("", max_length=65_536, description="a template, rendered with body_data")
    body_data: dict[str, Any] | None = Field(None, description="the variables of body_template or template")
    template: OneLine = Field(
        "", max_length=MAX_REFERENCE, description="name of a stored template, or name:language such as otp:id"
    )
    json_value: Any = Field(None, alias="json", description="any value; serialised once, at acceptance")
    payload: Text | None = Field(None, description="text, sent byte for byte")
    content_type: OneLine = Field("", max_length=100)
    headers: dict[str, str] | None = Field(None, max_length=50)
    tenant_id: OneLine = Field("", max_length=64)
    priority: int = Field(5, ge=0, le=9, description="higher goes first")
    ordering_key: OneLine = Field("", max_length=255, description="messages of one key go strictly one after another")
    send_after: Time | None = None
    expires_at: Time | None = Field(None, description="not sent after this")
    max_attempts: int | None = Field(None, ge=1, le=100)
    idempotency_key: OneLine = Field("", max_length=255)

    def as_fields(self) -> dict[str, Any]:
        """The fields that were given, by their names in the outbox."""
        return {
            "json" if name == "json_value" else name: value
            for name in self.model_fields_set
            if (value := getattr(self, name)) is not None or name == "json_value"
        }


class AcceptedOut(Schema):
    id: RowId
    status: Status
    service: str
    breaker_state: BreakerState = Field(description="of the service, now; an open breaker only delays a message")
    duplicate: bool = Field(description="true when the idempotency key had been used before with the same content")


class BatchIn(Body):
    """Up to 1,000 messages."""

    messages: list[dict[str, Any]] = Field(min_length=1, max_length=1000)


class BatchItemOut(Schema):
    """One answer: the fields of an accepted message, or ``error``."""

    index: int = Field(ge=0, description="position in the request, from 0")
    id: RowId | None = None
    status: Status | None = None
    service: str | None = None
    breaker_state: BreakerState | None = None
    duplicate: bool = False
    error: ErrorInfo | None = None


class BatchOut(Schema):
    accepted: int = Field(ge=0, description="messages stored now")
    duplicates: int = Field(ge=0, description="messages that had been accepted before")
    rejected: int = Field(ge=0)
    results: list[BatchItemOut]


class MessageOut(Schema):
    """A message in a list. The recipient is masked unless the key has messages:reveal."""

    id: RowId
    wire_id: str = Field(description="webhook-id and Idempotency-Key on the wire, the same on every attempt")
    service: str
    tenant_id: str
    status: Status
    recipient: str
    subject: str
    priority: int
    ordering_key: str
    idempotency_key: str
    attempt_count: int = Field(description="attempts that count against max_attempts; a replay begins anew")
    max_attempts: int | None
    last_error: str
    source: str
    request_id: str
    created_at: datetime
    send_after: datetime | None
    expires_at: datetime | None
    next_attempt_at: datetime | None = Field(description="null when it will not be tried again on its own")
    sent_at: datetime | None
    settled_at: datetime | None


class AttemptOut(Schema):
    number: int
    started_at: datetime
    duration_ms: int
    worker: str
    outcome: Outcome
    status_code: int | None
    error_class: str
    error: str
    response: str = Field(description="the beginning of the answer; empty without messages:reveal")


class BodyOut(Schema):
    """What the message was made from."""

    body_template: str
    body_data: Any
    template: str
    json_text: str | None = Field(None, serialization_alias="json", description="the exact text that is sent")
    payload: str | None
    content_type: str
    headers: dict[str, str]


class MessageDetailOut(MessageOut):
    why: str = Field(description="why it is where it is, for people")
    attempts: list[AttemptOut]
    dead_letters: list[RowId]
    replays: list[RowId]
    edited_from: int | None
    body: BodyOut | None = Field(description="null without messages:reveal")


class MessagePage(Schema):
    items: list[MessageOut]
    next_cursor: str | None


class ReasonIn(Body):
    reason: Text = Field("", max_length=2000, description="kept in the audit trail")
