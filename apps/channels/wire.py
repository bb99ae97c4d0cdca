"""One HTTP/1.1 connection: write a request, parse the answer with aiohttp's parser, keep what is needed.

A client session of aiohttp costs 85 to 105 microseconds of CPU per POST, this 25 to 35 (see
docs/design/channels.md): deliveries need no redirects, cookies, compression, middlewares or retries,
and what they do need, knowing whether all of a request had left, a session does not tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser
from yarl import URL

from apps.channels.headers import refused
from apps.channels.text import inflated

# More than one read of a socket, so that the parser never has to wait for us to take a body out.
_PARSER_LIMIT: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class Answer:
    """An HTTP answer. ``body`` is at most the cap; ``whole`` is false when there was, or should be, more."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class ConnectionBroken(Exception):
    """The connection ended before the answer did."""


class NotHttp(Exception):
    """What came back is not HTTP."""


def request_bytes(method: str, url: URL, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request as it goes on the wire. Raises a permanent error rather than send a head with a stray line break."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    head = (
        f"{method} {url.raw_path_qs} HTTP/1.1\r\nHost: {url.host_port_subcomponent}\r\n"
        f"{''.join(lines)}Content-Length: {len(body)}\r\n\r\n"
    )
    breaks = len(lines) + 4
    if head.count("\n") != breaks or head.count("\r") != breaks or "\x00" in head:
        raise refused("headers", "hold a line break or another control character: remove it")
    return head.encode() + body


class Connection(BaseProtocol):
    """One connection, one exchange at a time. Everything runs on the loop it was made on."""

    __slots__ = ("_cap", "_chunks", "_head", "_payload", "_size", "_surplus", "_waiter", "idle_since", "reusable")

    def __init__(self, loop: asyncio.AbstractEventLoop, cap: int) -> None:
        super().__init__(loop)
        self._cap = cap
        self._head: Any = None
        self._payload: Any = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._surplus = False  # more answers than questions
        self._waiter: asyncio.Future[Answer] | None = None
        self.idle_since = 0.0
        self.reusable = False

    # --- for the transport ---------------------------------------------------------------------
    def belongs_to(self, loop: asyncio.AbstractEventLoop) -> bool:
        return self._loop is loop

    @property
    def is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    @property
    def sent(self) -> bool:
        """All of the request has been handed to the system (over TLS: to the connection)."""
        return not self.writing_paused

    def begin(self, request: bytes) -> asyncio.Future[Answer]:
        """Write a request. The future ends with the answer, :class:`ConnectionBroken` or :class:`NotHttp`."""
        assert self.transport is not None
        self._head = self._payload = None
        self._chunks = []
        self._size = 0
        self.reusable = self._surplus = False
        # A new one each time, so that nothing of the last answer is left in it.
        self._parser = HttpResponseParser(self, self._loop, _PARSER_LIMIT, read_until_eof=True, auto_decompress=False)
        self._waiter = waiter = self._loop.create_future()
        self.transport.write(request)
        return waiter

    def expire(self) -> None:
        """The total time-out is over."""
        self._fail(TimeoutError())

    def partial(self) -> Answer | None:
        """What has arrived of an answer that was cut off; None before its head was complete."""
        return self._answer(whole=False) if self._head is not None else None

    def abort(self) -> None:
        """Close at once, dropping what was not sent."""
        self._waiter = None
        if self.transport is not None:
            self.transport.abort()

    # --- for asyncio ---------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.transport is not None:
            self.transport.set_write_buffer_limits(high=0)  # so that ``sent`` is exact

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:
            self.abort()  # nobody asked: whatever it is, the next answer would be mixed up with it
            return
        assert self._parser is not None
        try:
            messages, upgraded, _ = self._parser.feed_data(data)
        except Exception as error:  # noqa: BLE001 - the parser raises several families of errors
            self._fail(ConnectionBroken() if self._head is not None else NotHttp(type(error).__name__))
            return
        for head, payload in messages:
            if head.code < HTTPStatus.OK and not upgraded:
                continue  # 100 and 103 come before the answer
            if self._head is not None:
                self._surplus = True
                break
            self._head, self._payload = head, payload
        if self._head is not None:
            self._take()

    def pause_reading(self) -> None:
        """Never needed: a body is taken out at every read, and an answer beyond the cap ends the connection."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Nothing was paused. (The base class would parse again, in the middle of taking a body out.)"""

    def _take(self) -> None:
        payload = self._payload
        if payload.exception() is not None:
            self._fail(ConnectionBroken())
            return
        chunk = payload.read_nowait(-1)
        if chunk:
            self._chunks.append(chunk)
            self._size += len(chunk)
        if self._size > self._cap:
            self._finish(whole=False)
        elif payload.is_eof():
            clean = not (self._surplus or self._head.should_close or self._head.upgrade)
            self.reusable = clean and self.sent
            self._finish(whole=True)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.reusable = False
        if self._waiter is None or self._waiter.done():
            return
        if self._ended_by_closing():
            self._finish(whole=True)
        else:
            self._fail(ConnectionBroken())

    def _ended_by_closing(self) -> bool:
        """An answer without a length ends with the connection (RFC 9112, 6.3)."""
        assert self._parser is not None
        try:
            self._parser.feed_eof()
        except Exception:  # noqa: BLE001 - the parser raises several families of errors
            return False
        return self._payload is not None and self._payload.is_eof()

    def _finish(self, *, whole: bool) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(self._answer(whole=whole))

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _answer(self, *, whole: bool) -> Answer:
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        headers = self._head.headers
        encoding = headers.get("Content-Encoding", "")
        if encoding or len(body) > self._cap:
            body = inflated(body, encoding, self._cap)
        return Answer(self._head.code, headers, body, whole)
