"""Any HTTP endpoint: the exact bytes, signed, with the same identity on every attempt."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from yarl import URL

from apps.channels import headers as rules
from apps.channels.base import DeliveryError, Envelope, NetworkPolicy, Receipt
from apps.channels.classify import failure
from apps.channels.kinds.http.credentials import headers_of, signer_of
from apps.channels.kinds.http.settings import HttpSettings
from apps.channels.network import Lookup, system_lookup
from apps.channels.proxied import ProxiedTransport
from apps.channels.text import Redactor
from apps.channels.transport import USER_AGENT, DirectTransport, HttpTransport, utc_now
from apps.channels.wire import Answer

DEFAULT_CONTENT_TYPE: Final = "application/octet-stream"


class HttpChannel:
    """POST, or what ``method`` says, to one URL."""

    def __init__(
        self,
        settings: HttpSettings,
        secrets: Sequence[str],
        *,
        timeout: float,
        max_in_flight: int,
        network: NetworkPolicy,
        clock: Callable[[], float] = time.time,
        lookup: Lookup = system_lookup,
    ) -> None:
        self._url = URL(settings.url)
        self._method = settings.method
        self._clock = clock
        self._signer = signer_of(settings, secrets)
        credentials = headers_of(settings, secrets)
        self._base = _base_headers(settings) | credentials
        self._kept = rules.RESERVED | {name.lower() for name in credentials}
        self._redact = Redactor([*secrets, *(value.rpartition(" ")[2] for value in credentials.values())])
        self._transport = _transport(settings, timeout, max_in_flight, network, lookup)

    async def send(self, envelope: Envelope) -> Receipt:
        """Raises :class:`DeliveryError`. Everything it says is free of the service's secrets."""
        try:
            headers = self._headers(envelope)
            answer = await self._transport.exchange(self._method, self._url, headers, envelope.body)
            if answer.is_success:
                return Receipt(answer.status, self._redact.excerpt(answer.body))
            raise self._failure(answer)
        except DeliveryError as error:
            raise error.without(self._redact) from None

    async def close(self) -> None:
        await self._transport.close()

    def _failure(self, answer: Answer) -> DeliveryError:
        return failure(answer.status, answer.headers, self._redact.excerpt(answer.body), now=utc_now())

    def _headers(self, envelope: Envelope) -> dict[str, str]:
        """Ours last, so that nothing a message or a service brings can replace the identity or the signature."""
        if rules.UNSAFE.search(
            f"{envelope.idempotency_key}{envelope.wire_id}{envelope.tenant_id}{envelope.request_id}"
            f"{envelope.traceparent}{envelope.content_type}"
        ):
            _name_the_unsafe(envelope)
        headers = rules.merged(self._base, envelope.headers, self._kept) if envelope.headers else self._base.copy()
        if envelope.content_type:
            headers["Content-Type"] = envelope.content_type
        headers["Idempotency-Key"] = envelope.idempotency_key or envelope.wire_id
        if self._signer is not None:
            timestamp = str(int(self._clock()))
            headers["webhook-id"] = envelope.wire_id
            headers["webhook-timestamp"] = timestamp
            headers["webhook-signature"] = self._signer.sign(envelope.wire_id, timestamp, envelope.body)
        if envelope.request_id:
            headers["X-Request-ID"] = envelope.request_id
        if envelope.tenant_id:
            headers["X-Tenant-ID"] = envelope.tenant_id
        if envelope.traceparent:
            headers["traceparent"] = envelope.traceparent
        return headers


def _transport(
    settings: HttpSettings, timeout: float, max_in_flight: int, network: NetworkPolicy, lookup: Lookup
) -> HttpTransport:
    if settings.proxy:
        return ProxiedTransport(
            proxy=settings.proxy,
            timeout=timeout,
            max_in_flight=max_in_flight,
            network=network,
            setting="settings.url",
            ca_file=settings.ca_file,
        )
    return DirectTransport(
        timeout=timeout,
        max_in_flight=max_in_flight,
        network=network,
        setting="settings.url",
        ca_file=settings.ca_file,
        lookup=lookup,
    )


def _base_headers(settings: HttpSettings) -> dict[str, str]:
    base = {
        "User-Agent": USER_AGENT,
        "Content-Type": DEFAULT_CONTENT_TYPE,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
    }
    return rules.merged(base, settings.headers)


def _name_the_unsafe(envelope: Envelope) -> None:
    """Raise the permanent error that names the field."""
    fields = ("idempotency_key", "wire_id", "tenant_id", "request_id", "traceparent", "content_type")
    rules.check_values({name: getattr(envelope, name) for name in fields})
