"""What a channel is: it sends one envelope and says what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from apps.channels.text import clean


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """Where deliveries may go. Link-local and metadata addresses never may, whatever this says."""

    allow_private: bool


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message, ready to leave. ``body`` is sent byte for byte.

    ``wire_id`` and ``idempotency_key`` are the same on every attempt and replay; ``attempt`` is not.
    """

    message_id: int
    wire_id: str
    idempotency_key: str
    service: str
    tenant_id: str
    recipient: str
    subject: str
    body: bytes
    content_type: str
    headers: Mapping[str, str]
    attempt: int
    request_id: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The destination took the message. ``provider_id`` is its own name for it, where it gives one."""

    status_code: int | None
    response_excerpt: str = ""
    provider_id: str = ""


class DeliveryError(Exception):
    """The destination did not take the message, or nobody can know whether it did.

    ``permanent``: trying again cannot help. ``retry_after``: seconds the destination asked to wait.
    ``counts_as_failure``: says something about the health of the destination (the breaker counts it).
    ``ambiguous``: the whole message had left, so it may have arrived. ``pauses_service``: nothing
    sent to this service can succeed until a person has acted.
    """

    def __init__(
        self,
        message: str,
        *,
        error_class: str,
        permanent: bool = False,
        retry_after: float | None = None,
        counts_as_failure: bool = True,
        ambiguous: bool = False,
        timed_out: bool = False,
        status_code: int | None = None,
        response_excerpt: str = "",
        pauses_service: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_class = error_class
        self.permanent = permanent
        self.retry_after = retry_after
        self.counts_as_failure = counts_as_failure
        self.ambiguous = ambiguous
        self.timed_out = timed_out
        self.status_code = status_code
        self.response_excerpt = response_excerpt
        self.pauses_service = pauses_service

    def __str__(self) -> str:
        return self.message

    def without(self, redact: Callable[[str], str]) -> DeliveryError:
        """The same error, with secrets masked in everything that will be stored or shown, and storable."""
        self.message = redact(clean(self.message))
        self.response_excerpt = redact(clean(self.response_excerpt))
        self.args = (self.message,)
        return self


class Channel(Protocol):
    """One object per service and process, used by up to ``max_in_flight`` sends at once."""

    async def send(self, envelope: Envelope) -> Receipt:
        """Send, or raise :class:`DeliveryError`. Takes at most the time-out it was built with."""

    async def close(self) -> None:
        """Close every connection. The object may be used again afterwards, on another loop too."""
