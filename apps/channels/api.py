"""What the JSON APIs of chat, messaging and paging providers have in common."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext as _
from yarl import URL

from apps.channels.base import DeliveryError, Envelope, NetworkPolicy, Receipt
from apps.channels.classify import failure
from apps.channels.headers import check_values, refused
from apps.channels.network import Lookup, system_lookup
from apps.channels.text import Redactor, clean, snippet
from apps.channels.transport import USER_AGENT, DirectTransport, utc_now
from apps.channels.wire import Answer
from apps.core.errors import Invalid

# These answers repeat the message that was sent, so they are longer than those of a webhook.
API_BODY_CAP: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an API. ``url`` may hold a secret and is never shown."""

    url: URL
    body: dict[str, Any]
    headers: dict[str, str]


class ApiChannel(ABC):
    """Compose a call, send it, judge the answer. A kind says how."""

    def __init__(
        self,
        *,
        secrets: Sequence[str],
        setting: str,
        timeout: float,
        max_in_flight: int,
        network: NetworkPolicy,
        lookup: Lookup = system_lookup,
    ) -> None:
        if not secrets:
            raise Invalid.field("secret", _("is missing: store it with the service, or set what secret_ref names"))
        self._secret = secrets[0]
        self._redact = Redactor(secrets)
        self._transport = DirectTransport(
            timeout=timeout,
            max_in_flight=max_in_flight,
            network=network,
            setting=setting,
            body_cap=API_BODY_CAP,
            lookup=lookup,
        )

    @abstractmethod
    def compose(self, envelope: Envelope) -> Call:
        """The call for one message; raises a permanent :class:`DeliveryError` that names the field."""

    @abstractmethod
    def judge(self, answer: Answer, envelope: Envelope) -> Receipt:
        """What the answer means; raises :class:`DeliveryError`."""

    async def send(self, envelope: Envelope) -> Receipt:
        try:
            call = self.compose(envelope)
            body = json.dumps(call.body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            headers = own_headers(envelope) | call.headers
            answer = await self._transport.exchange("POST", call.url, headers, body)
            return self.judge(answer, envelope)
        except DeliveryError as error:
            raise error.without(self._redact) from None

    async def close(self) -> None:
        await self._transport.close()

    def receipt(self, answer: Answer, provider_id: Any = "") -> Receipt:
        return Receipt(answer.status, self._redact.excerpt(answer.body), clean(str(provider_id or ""))[:200])

    def by_status(self, answer: Answer, *, now: datetime | None = None) -> DeliveryError:
        """The error of an answer that is not 2xx, by its status alone."""
        return failure(answer.status, answer.headers, self._redact.excerpt(answer.body), now=now or utc_now())

    def error(self, answer: Answer, text: str, **facts: Any) -> DeliveryError:
        """An error with the answer attached. ``text`` may quote the provider."""
        excerpt = self._redact.excerpt(answer.body)
        return DeliveryError(snippet(text, 400), status_code=answer.status, response_excerpt=excerpt, **facts)

    def unreadable(self, answer: Answer) -> DeliveryError:
        """2xx with an answer that says neither yes nor no."""
        return self.error(
            answer,
            f"Answered {answer.status} with something that is not this API's answer; the message may have arrived",
            error_class="bad_answer",
            ambiguous=True,
        )


def own_headers(envelope: Envelope) -> dict[str, str]:
    own = {
        "idempotency_key": envelope.idempotency_key or envelope.wire_id,
        "request_id": envelope.request_id,
        "traceparent": envelope.traceparent,
    }
    check_values(own)
    headers = {
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json; charset=utf-8",
        "Accept-Encoding": "identity",
        "Idempotency-Key": own["idempotency_key"],
        "X-Request-ID": own["request_id"],
        "traceparent": own["traceparent"],
    }
    return {name: value for name, value in headers.items() if value}


def answer_object(answer: Answer) -> dict[str, Any] | None:
    """The JSON object of an answer, or None if it is not one."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_json(envelope: Envelope) -> bool:
    return "json" in envelope.content_type.lower()


def body_text(envelope: Envelope) -> str:
    """The body as text; raises a permanent error if it is not UTF-8."""
    try:
        return envelope.body.decode()
    except UnicodeDecodeError:
        raise refused("payload", "is not UTF-8 text, which this channel needs") from None


def body_object(envelope: Envelope) -> dict[str, Any] | None:
    """The body as a JSON object where the message says it is JSON; None for plain text.

    A JSON text (``json: "hello"``) is plain text too. Raises a permanent error for anything else.
    """
    if not is_json(envelope):
        return None
    try:
        value = json.loads(envelope.body)
    except (ValueError, RecursionError):
        raise refused("payload", f"is not valid JSON although content_type is {envelope.content_type}") from None
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise refused("payload", "must be a JSON object with the fields of this API, or text")
    return value


def with_subject(envelope: Envelope, template: str = "{}") -> str:
    """Subject and body as one text; ``template`` sets the subject off."""
    text = body_text(envelope)
    return f"{template.format(envelope.subject)}\n{text}" if envelope.subject else text


def as_integer(value: Any) -> int | None:
    """A whole number out of foreign JSON."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
