"""HTTP through a proxy, with a client session of aiohttp: slower than a connection of our own, and it knows
proxies well. The proxy makes the connection, so its rules decide which addresses can be reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import payload
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from apps.channels import failures
from apps.channels.addresses import host_refusal
from apps.channels.base import DeliveryError, NetworkPolicy
from apps.channels.text import inflated
from apps.channels.transport import BODY_CAP, tls_context
from apps.channels.wire import Answer

_PIECE: Final = 64 * 1024


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
        for start in range(0, len(self._value) or 1, _PIECE):
            await writer.write(self._value[start : start + _PIECE])
        self.sent = True


class ProxiedTransport:
    """An :class:`apps.channels.transport.HttpTransport` whose requests go through ``proxy``."""

    def __init__(
        self, *, proxy: str, timeout: float, max_in_flight: int, network: NetworkPolicy, setting: str, ca_file: str = ""
    ) -> None:
        self._proxy = URL(proxy)
        self._timeout = timeout
        self._limit = max_in_flight
        self._network = network
        self._setting = setting
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def exchange(self, method: str, url: URL, headers: Mapping[str, str], body: bytes) -> Answer:
        """As :meth:`HttpTransport.exchange`. What can be said against the address without a look-up still is."""
        reason = host_refusal(url.raw_host or "", self._network)
        if reason:
            raise failures.address_refused(reason, self._setting)
        content = TrackedBody(body)
        try:
            response = await (self._session or self._open()).request(
                method, url, data=content, headers=headers, allow_redirects=False, proxy=self._proxy
            )
        except TimeoutError:
            raise failures.timed_out(self._timeout, sent=content.sent) from None
        except (aiohttp.ClientError, OSError) as error:
            raise failures.of_proxied(error, where=f"{url.host}:{url.port}", sent=content.sent) from None
        return await self._answer(response, url)

    async def close(self) -> None:
        """See :class:`HttpTransport`."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._limit, ssl=tls_context(self._ca_file)),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout, ceil_threshold=float("inf")),
            auto_decompress=False,
        )
        # aiohttp repeats a PUT or DELETE by itself when a kept connection turns out dead. A repeat
        # is an attempt, and attempts are counted, recorded and spaced by the outbox alone.
        session._retry_connection = False
        return session

    async def _answer(self, response: aiohttp.ClientResponse, url: URL) -> Answer:
        chunks: list[bytes] = []
        try:
            whole = await _read(response.content, chunks)
        except TimeoutError:
            return _cut_off(response, chunks, failures.timed_out(self._timeout, sent=True))
        except (aiohttp.ClientError, OSError):
            error = failures.lost(f"{url.host}:{url.port}", sent=True, status=response.status)
            return _cut_off(response, chunks, error)
        except BaseException:
            response.close()
            raise
        if not whole:
            response.close()
        if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise failures.of_proxy("it asks for a log-in, 407")
        return _finished(response, chunks, whole)


async def _read(content: aiohttp.StreamReader, chunks: list[bytes]) -> bool:
    """Read at most the cap; false if there is more."""
    size = 0
    while not content.at_eof():
        chunk = await content.readany()
        chunks.append(chunk)
        size += len(chunk)
        if size > BODY_CAP:
            return False
    return True


def _cut_off(response: aiohttp.ClientResponse, chunks: list[bytes], error: DeliveryError) -> Answer:
    response.close()
    answer = _finished(response, chunks, whole=False)
    if answer.is_success:
        error.status_code = answer.status
        raise error from None
    return answer


def _finished(response: aiohttp.ClientResponse, chunks: list[bytes], whole: bool) -> Answer:
    body = inflated(b"".join(chunks), response.headers.get("Content-Encoding", ""), BODY_CAP)
    return Answer(response.status, response.headers, body, whole)
