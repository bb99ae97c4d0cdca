"""The HTTP client of all channels: a total time-out, guarded addresses, kept connections, capped answers.

Hot path: everything that does not change between two messages of a service is made once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Protocol

from yarl import URL

from apps.channels import failures
from apps.channels.base import DeliveryError, NetworkPolicy
from apps.channels.network import AddressRefused, Lookup, Names, connected_socket, system_lookup
from apps.channels.wire import Answer, Connection, ConnectionBroken, NotHttp, request_bytes

BODY_CAP: Final = 16 * 1024
USER_AGENT: Final = "opsportal/1 (+delivery)"
# Below what servers keep (nginx 75 s, Node 5 s, many load balancers 60 s) a dead one is rare.
KEEP_S: Final = 15.0


class HttpTransport(Protocol):
    """What channels send with: directly, or through a proxy (see proxied.py)."""

    async def exchange(self, method: str, url: URL, headers: Mapping[str, str], body: bytes) -> Answer:
        """One request and its answer, whatever its status; raises :class:`DeliveryError` if there is none.

        The time-out is total: look-up, connecting, sending and reading the whole answer. A 2xx that
        breaks off is an error, for nobody can be sure of it; any other status stands by itself.
        """

    async def close(self) -> None:
        """Close every connection. The next exchange opens new ones."""


class DirectTransport:
    """The connections of one service. ``setting`` is where people configured the address."""

    def __init__(
        self,
        *,
        timeout: float,
        max_in_flight: int,
        network: NetworkPolicy,
        setting: str,
        ca_file: str = "",
        body_cap: int = BODY_CAP,
        lookup: Lookup = system_lookup,
    ) -> None:
        self._timeout = timeout
        self._limit = max_in_flight
        self._setting = setting
        self._ca_file = ca_file
        self._cap = body_cap
        self._names = Names(network, lookup)
        self._idle: list[Connection] = []
        self._slots: asyncio.Semaphore | None = None

    async def exchange(self, method: str, url: URL, headers: Mapping[str, str], body: bytes) -> Answer:
        """See :class:`HttpTransport`."""
        request = request_bytes(method, url, headers, body)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        slots = self._slots = self._slots or asyncio.Semaphore(self._limit)
        if slots.locked():
            await self._waited(slots, deadline)
        else:
            await slots.acquire()
        try:
            connection = self._kept(loop) or await self._connected(loop, url, deadline)
            return await self._over(connection, request, deadline, url)
        finally:
            slots.release()

    async def close(self) -> None:
        """See :class:`HttpTransport`."""
        idle, self._idle = self._idle, []
        self._slots = None
        for connection in idle:
            connection.abort()
        await self._names.close()
        await asyncio.sleep(0)  # lets the loop close the sockets

    async def _waited(self, slots: asyncio.Semaphore, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await slots.acquire()
        except TimeoutError:
            raise failures.timed_out(self._timeout, sent=False) from None

    def _kept(self, loop: asyncio.AbstractEventLoop) -> Connection | None:
        oldest = loop.time() - KEEP_S
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since > oldest and connection.belongs_to(loop):
                return connection
            connection.abort()
        return None

    async def _connected(self, loop: asyncio.AbstractEventLoop, url: URL, deadline: float) -> Connection:
        where = _where(url)
        try:
            async with asyncio.timeout_at(deadline):
                return await self._connect(loop, url)
        except TimeoutError as error:
            if error.errno:  # the system gave up, not we
                raise failures.of_connect(error, where) from None
            raise failures.timed_out(self._timeout, sent=False) from None
        except AddressRefused as error:
            raise failures.address_refused(str(error), self._setting) from None
        except OSError as error:
            raise failures.of_connecting(error, where) from None

    async def _connect(self, loop: asyncio.AbstractEventLoop, url: URL) -> Connection:
        host, port = url.raw_host or "", url.port or 0
        sock = await connected_socket(self._names, host, port)
        secure = url.scheme == "https"
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(loop, self._cap),
                sock=sock,
                ssl=tls_context(self._ca_file) if secure else None,
                server_hostname=host.rstrip(".") if secure else None,
            )
        except BaseException:
            sock.close()
            raise
        return connection

    async def _over(self, connection: Connection, request: bytes, deadline: float, url: URL) -> Answer:
        loop = asyncio.get_running_loop()
        waiter = connection.begin(request)
        timer = loop.call_at(deadline, connection.expire)
        try:
            return await waiter
        except TimeoutError:
            return _cut_off(connection, failures.timed_out(self._timeout, sent=connection.sent))
        except ConnectionBroken:
            partial = connection.partial()
            status = partial.status if partial else None
            return _cut_off(connection, failures.lost(_where(url), sent=connection.sent, status=status))
        except NotHttp:
            raise failures.not_http(_where(url), sent=connection.sent) from None
        finally:
            timer.cancel()
            self._release(connection, loop.time())

    def _release(self, connection: Connection, now: float) -> None:
        """Keep a connection that is fit for another exchange; let go of one that has been idle for long."""
        if connection.reusable and connection.is_open:
            connection.idle_since = now
            self._idle.append(connection)
            if self._idle[0].idle_since < now - KEEP_S:
                self._idle.pop(0).abort()
        else:
            connection.abort()


def _cut_off(connection: Connection, error: DeliveryError) -> Answer:
    """A no stands, whatever became of the rest of its page; a yes that breaks off does not."""
    partial = connection.partial()
    if partial is None:
        raise error from None
    if partial.is_success:
        error.status_code = partial.status
        raise error from None
    return partial


@lru_cache(maxsize=64)
def tls_context(ca_file: str) -> ssl.SSLContext:
    """Verifies against the system's authorities, or against those of ``ca_file``."""
    context = ssl.create_default_context(cafile=ca_file or None)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _where(url: URL) -> str:
    """Host and port: a path may hold a secret."""
    return f"{url.host}:{url.port}"


def utc_now() -> datetime:
    return datetime.now(UTC)
