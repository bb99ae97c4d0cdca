"""The one HTTP client of all channels: aiohttp with a total time-out, guarded addresses, capped answers.

Hot path: everything that does not change between two messages of a service is made once.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import payload
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from apps.channels import failures
from apps.channels.addresses import host_refusal
from apps.channels.base import DeliveryError, NetworkPolicy
from apps.channels.network import AddressRefused, GuardedResolver, Lookup, Names, guarded_sockets, system_lookup
from apps.channels.text import inflated

BODY_CAP: Final = 16 * 1024
USER_AGENT: Final = "opsportal/1 (+delivery)"
_PIECE: Final = 64 * 1024
_DNS_TTL_S: Final = 10


class TrackedBody(payload.Payload):
    """A request body that knows whether all of it has left, which decides between failed and ambiguous."""

    _autoclose = True

    def __init__(self, value: bytes) -> None:
        super().__init__(value, content_type="application/octet-stream")
        self._size = len(value)
        self.sent = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """In pieces, each waiting for room, so that a large body neither blocks the loop nor counts as sent."""
        value = self._value
        if len(value) <= _PIECE:
            await writer.write(value)
        else:
            for start in range(0, len(value), _PIECE):
                await writer.write(value[start : start + _PIECE])
        self.sent = True


@dataclass(slots=True)
class Answer:
    """An HTTP answer. ``body`` is at most the cap; ``whole`` is false when there was, or should be, more."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool


class HttpTransport:
    """The connections of one service. ``setting`` is where people configured the address."""

    def __init__(
        self,
        *,
        timeout: float,
        max_in_flight: int,
        network: NetworkPolicy,
        setting: str,
        proxy: str = "",
        ca_file: str = "",
        body_cap: int = BODY_CAP,
        lookup: Lookup = system_lookup,
    ) -> None:
        self._timeout = timeout
        self._limit = max_in_flight
        self._network = network
        self._setting = setting
        self._proxy = URL(proxy) if proxy else None
        self._tls: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca_file) if ca_file else True
        self._cap = body_cap
        self._names = Names(network, lookup)
        self._session: aiohttp.ClientSession | None = None

    async def exchange(self, method: str, url: URL, headers: Mapping[str, str], body: bytes) -> Answer:
        """One request and its answer, whatever its status; raises :class:`DeliveryError` if there is none.

        The time-out is total: look-up, connecting, sending and reading the whole answer.
        """
        content = TrackedBody(body)
        try:
            response = await (self._session or self._open(url)).request(
                method, url, data=content, headers=headers, allow_redirects=False, proxy=self._proxy
            )
        except TimeoutError:
            raise failures.timed_out(self._timeout, sent=content.sent) from None
        except (aiohttp.ClientError, OSError, AddressRefused) as error:
            raise self._explained(error, url, sent=content.sent) from None
        return await self._answer(response, url)

    async def close(self) -> None:
        """Close every connection. The next exchange opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._names.close()

    def _open(self, url: URL) -> aiohttp.ClientSession:
        if self._proxy is not None:
            # The proxy makes the connection, so its address is configuration and its own rules
            # decide where it may go; what can be judged without a look-up still is.
            reason = host_refusal(url.raw_host or "", self._network)
            if reason:
                raise AddressRefused(reason)
        self._session = session = aiohttp.ClientSession(
            connector=self._connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout, ceil_threshold=float("inf")),
            auto_decompress=False,
        )
        # aiohttp repeats a PUT or DELETE by itself when a kept connection turns out dead. A repeat
        # is an attempt, and attempts are counted, recorded and spaced by the outbox alone.
        session._retry_connection = False
        return session

    def _connector(self) -> aiohttp.TCPConnector:
        if self._proxy is not None:
            return aiohttp.TCPConnector(limit=self._limit, ssl=self._tls)
        return aiohttp.TCPConnector(
            limit=self._limit,
            ssl=self._tls,
            resolver=GuardedResolver(self._names),
            ttl_dns_cache=_DNS_TTL_S,
            socket_factory=guarded_sockets(self._network),
        )

    async def _answer(self, response: aiohttp.ClientResponse, url: URL) -> Answer:
        """Read at most the cap. A 2xx whose end never came is not a delivery anybody can be sure of."""
        chunks: list[bytes] = []
        try:
            whole = await self._read(response.content, chunks)
        except TimeoutError:
            return self._cut_off(response, chunks, failures.timed_out(self._timeout, sent=True))
        except (aiohttp.ClientError, OSError):
            return self._cut_off(response, chunks, failures.lost(self._where(url), sent=True, status=response.status))
        except BaseException:
            response.close()
            raise
        if not whole:
            response.close()
        if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and self._proxy is not None:
            raise failures.of_proxy("it asks for a log-in, 407")
        return self._finished(response, chunks, whole)

    async def _read(self, content: aiohttp.StreamReader, chunks: list[bytes]) -> bool:
        size = 0
        while not content.at_eof():
            chunk = await content.readany()
            chunks.append(chunk)
            size += len(chunk)
            if size > self._cap:
                return False
        return True

    def _cut_off(self, response: aiohttp.ClientResponse, chunks: list[bytes], error: DeliveryError) -> Answer:
        response.close()
        answer = self._finished(response, chunks, whole=False)
        if 200 <= answer.status < 300:
            error.status_code = answer.status
            raise error
        return answer  # the status has already said no; the rest of the page would not change that

    def _finished(self, response: aiohttp.ClientResponse, chunks: list[bytes], whole: bool) -> Answer:
        body = b"".join(chunks)
        encoding = response.headers.get("Content-Encoding", "")
        if encoding or len(body) > self._cap:
            body = inflated(body, encoding, self._cap)
        return Answer(response.status, response.headers, body, whole)

    def _explained(self, error: Exception, url: URL, *, sent: bool) -> DeliveryError:
        return failures.of_exchange(
            error, where=self._where(url), setting=self._setting, proxied=self._proxy is not None, sent=sent
        )

    @staticmethod
    def _where(url: URL) -> str:
        return f"{url.host}:{url.port}"


def utc_now() -> datetime:
    return datetime.now(UTC)
