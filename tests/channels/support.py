"""Real servers on loopback for the channels' tests, and short ways to make envelopes and channels."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from apps.channels.base import Channel, DeliveryError, Envelope, NetworkPolicy
from apps.channels.registry import build

ALLOW = NetworkPolicy(allow_private=True)
DENY = NetworkPolicy(allow_private=False)
SECRET = "s3cret-value-of-the-service"


def envelope(**changes: Any) -> Envelope:
    base = Envelope(
        message_id=1,
        wire_id="msg_0123456789abcdef",
        idempotency_key="order-1001",
        service="partner",
        tenant_id="",
        recipient="",
        subject="",
        body=b'{"order": 1001}',
        content_type="application/json",
        headers={},
        attempt=1,
        request_id="",
        traceparent="",
    )
    return dataclasses.replace(base, **changes)


def channel(kind: str = "http", *, timeout: float = 2.0, secrets: Any = (), network: Any = ALLOW, **s: Any) -> Channel:
    return build(
        kind, service="partner", settings=s, secrets=secrets, timeout=timeout, max_in_flight=8, network=network
    )


async def failure_of(sending: Awaitable[Any]) -> DeliveryError:
    """The error a send ends with."""
    try:
        receipt = await sending
    except DeliveryError as error:
        return error
    raise AssertionError(f"was sent: {receipt}")


@dataclass
class Request:
    """What arrived: the head as sent, header names in lower case, the exact body."""

    line: str
    headers: dict[str, str]
    names: list[str]
    body: bytes


Answering = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """An HTTP server that says whatever a test wants, down to the byte."""

    port: int
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    answering: Answering | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def last(self) -> Request:
        return self.requests[-1]

    def answers(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer every request with this and keep the connection."""

        async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(response(status, body, **headers))

        self.answering = answer

    def does(self, answering: Answering) -> None:
        self.answering = answering


def response(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *rest = head.strip().split("\r\n")
    pairs = [item.split(": ", 1) for item in rest]
    headers = {pair[0].lower(): pair[1] if len(pair) > 1 else "" for pair in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(line, headers, [pair[0] for pair in pairs], body)


@contextlib.asynccontextmanager
async def http_server(ssl: Any = None) -> AsyncIterator[Server]:
    state = Server(0)
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await _read_request(reader)) is not None:
                state.requests.append(request)
                if state.answering is not None:
                    await state.answering(request, writer)
                    if writer.is_closing():
                        return
                    await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=ssl)
    state.port = server.sockets[0].getsockname()[1]
    state.answers(200, b"ok")
    try:
        yield state
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST rather than FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
