"""What would go over the wire, as text a person can read: for the preview of a replay and the diff of an edit."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from apps.core.masking import mask_secrets
from apps.outbox.delivery.claim import Claimed
from apps.outbox.delivery.lanes import envelope_of
from apps.outbox.models import Message
from apps.outbox.rendering import RenderingFailed
from apps.outbox.templating.choosing import find_texts, key_of

BODIES: Final = ("body_template", "template", "json", "payload")
SHOWN_CHARS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Wire:
    """One request. ``headers`` are free of secrets. ``problem`` says why it cannot be made (its body is empty then)."""

    recipient: str
    subject: str
    identity: str
    headers: Mapping[str, str]
    body: str
    problem: str = ""

    def lines(self) -> list[str]:
        """Head and body, one line each; JSON is laid out so that a difference shows where it is."""
        head = {"To": self.recipient, "Subject": self.subject, "Idempotency-Key": self.identity, **self.headers}
        shown = [f"{name}: {value}" for name, value in head.items() if value]
        return [*shown, "", *laid_out(self.body)[:SHOWN_CHARS].splitlines()]


def wire_of(message: Message, *, identity: str = "") -> Wire:
    """What the next attempt of ``message`` sends; ``identity`` says another one than its own."""
    row = _as_claimed(message)
    service = message.service_id
    try:
        envelope = envelope_of(row, service, find_texts({key_of(row)}, service) if row.template else {})
    except RenderingFailed as error:
        return Wire(message.recipient, message.subject, identity or message.wire_id, {}, "", str(error))
    headers = {"Content-Type": envelope.content_type, **_plain(mask_secrets(message.headers))}
    key = identity or envelope.idempotency_key
    return Wire(envelope.recipient, envelope.subject, key, headers, envelope.body.decode("utf-8", "replace"))


def corrected(message: Message, changes: Mapping[str, Any]) -> Message:
    """``message`` as its corrected copy would be, not stored. A named template is taken as it is now."""
    found = copy.copy(message)
    found.template_id = found.template_version = None
    if any(name in changes for name in BODIES):
        found.body_template, found.template, found.json, found.payload = "", "", None, None
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def laid_out(body: str) -> str:
    """JSON with one value per line; any other text as it is."""
    try:
        return json.dumps(json.loads(body), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return body


def _plain(headers: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in headers.items()} if isinstance(headers, Mapping) else {}


def _as_claimed(message: Message) -> Claimed:
    texts = {"headers": message.headers, "body_data": message.body_data}
    given: dict[str, Any] = {name: getattr(message, name, None) for name in Claimed._fields}
    return Claimed(**given | {name: json.dumps(value) for name, value in texts.items()})
