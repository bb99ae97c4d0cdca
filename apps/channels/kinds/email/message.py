"""An envelope as an e-mail: the bytes that go between DATA and the final dot. Pure but for the date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from typing import Final

from apps.channels import headers as rules
from apps.channels.api import body_text
from apps.channels.base import Envelope
from apps.channels.headers import check_values, merged, refused
from apps.channels.kinds.email.html import plain_text
from apps.channels.kinds.email.recipients import (
    address_problem,
    needs_smtputf8,
    on_the_wire,
    recipient_problem,
    split,
)
from apps.channels.kinds.email.settings import EmailSettings

# What the portal writes itself, what describes the encoding, and what belongs to other programs on the way.
KEPT: Final = rules.RESERVED | frozenset(
    [
        "from",
        "sender",
        "to",
        "cc",
        "bcc",
        "subject",
        "date",
        "message-id",
        "reply-to",
        "mime-version",
        "content-type",
        "content-disposition",
        "content-transfer-encoding",
        "return-path",
        "received",
        "dkim-signature",
        "arc-seal",
        "arc-message-signature",
        "authentication-results",
        "x-idempotency-key",
    ]
)


# Bodies in seven bits, which every server on the way takes.
ASCII: Final = SMTP.clone(cte_type="7bit")
UTF8: Final = SMTPUTF8.clone(cte_type="7bit")


@dataclass(frozen=True, slots=True)
class Mail:
    """``utf8`` when the server must know SMTPUTF8 (RFC 6531)."""

    sender: str
    recipients: list[str]
    data: bytes
    utf8: bool


def compose(envelope: Envelope, settings: EmailSettings, *, now: datetime) -> Mail:
    """Raises a permanent :class:`DeliveryError` that names the field which cannot be sent."""
    _check(envelope, settings)
    recipients = [on_the_wire(address) for address in split(envelope.recipient)]
    sender = on_the_wire(settings.from_address)
    utf8 = any(map(needs_smtputf8, (*recipients, sender, settings.reply_to)))
    message = EmailMessage(policy=UTF8 if utf8 else ASCII)
    _head(message, envelope, settings, recipients, now)
    _content(message, envelope)
    _custom(message, envelope.headers)
    return Mail(sender, recipients, message.as_bytes(), utf8)


def _check(envelope: Envelope, settings: EmailSettings) -> None:
    problem = recipient_problem(envelope.recipient)
    if problem:
        raise refused("recipient", problem)
    if rules.UNSAFE.search(envelope.subject):
        raise refused("subject", "holds a line break or another control character, which could inject a header")
    check_values({"idempotency_key": envelope.idempotency_key, "wire_id": envelope.wire_id})
    sender = address_problem(settings.from_address)
    if sender:
        raise refused("settings.from_address", sender)


def _head(
    message: EmailMessage, envelope: Envelope, settings: EmailSettings, recipients: list[str], now: datetime
) -> None:
    message["From"] = _address(on_the_wire(settings.from_address), settings.from_name)
    message["To"] = [_address(recipient) for recipient in recipients]
    message["Subject"] = envelope.subject
    message["Date"] = format_datetime(now)
    # The same on every attempt, so that mail programs show a message that arrived twice only once.
    message["Message-ID"] = f"<{envelope.wire_id}@{on_the_wire(settings.from_address).rpartition('@')[2]}>"
    if settings.reply_to:
        message["Reply-To"] = _address(on_the_wire(settings.reply_to))
    message["X-Idempotency-Key"] = envelope.idempotency_key or envelope.wire_id
    message["Auto-Submitted"] = "auto-generated"


def _address(address: str, name: str = "") -> Address:
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)


def _content(message: EmailMessage, envelope: Envelope) -> None:
    """HTML brings a text of itself along."""
    text = body_text(envelope)
    if "html" not in envelope.content_type.lower():
        message.set_content(text)
        return
    message.set_content(plain_text(text))
    message.add_alternative(text, subtype="html")


def _custom(message: EmailMessage, headers: Mapping[str, str]) -> None:
    for name, value in merged({}, headers, KEPT).items():
        del message[name]
        message[name] = value
