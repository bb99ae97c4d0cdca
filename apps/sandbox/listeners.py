"""Listening sockets on loopback that can be closed and opened again on the same port."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import web

from apps.core.errors import PortalError
from apps.sandbox.ports import describe_holder

HOST: Final = "127.0.0.1"
BACKLOG: Final = 512
GRACE_S: Final = 0.2


class PortTaken(PortalError):
    code = "port_taken"
    status = 500


class Listener(Protocol):
    """``port`` is the real one as soon as it has been open once."""

    port: int

    @property
    def is_open(self) -> bool: ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...


def bound_socket(port: int, purpose: str) -> socket.socket:
    """A socket bound to loopback; raises :class:`PortTaken` naming the port and who probably has it."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setblocking(False)
    try:
        sock.bind((HOST, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise PortTaken(_why_not(port, purpose, error)) from error
    return sock


def _why_not(port: int, purpose: str, error: OSError) -> str:
    if error.errno not in (errno.EADDRINUSE, errno.EACCES):
        return f"The sandbox cannot listen on {HOST}:{port} ({purpose}): {error.strerror}."
    why = describe_holder(port) if error.errno == errno.EADDRINUSE else "ports below 1024 need root"
    return (
        f"Port {port} on {HOST} cannot be used for the sandbox's {purpose}: {why}. "
        "Stop that, or move the sandbox to seven other ports in a row with SANDBOX_PORT, e.g. SANDBOX_PORT=18090."
    )


@dataclass
class HttpListener:
    """An HTTP server; closing it also cuts the connections that are kept alive."""

    port: int
    purpose: str
    make_runner: Callable[[], web.BaseRunner]
    _runner: web.BaseRunner | None = None

    @property
    def is_open(self) -> bool:
        return self._runner is not None

    async def open(self) -> None:
        """Raises :class:`PortTaken`."""
        if self._runner is not None:
            return
        sock = bound_socket(self.port, self.purpose)
        self.port = sock.getsockname()[1]
        runner = self.make_runner()
        await runner.setup()
        await web.SockSite(runner, sock).start()
        self._runner = runner

    async def close(self) -> None:
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        await runner.cleanup()


@dataclass
class ProtocolListener:
    """A server of any other protocol, made by ``factory`` for each connection."""

    port: int
    purpose: str
    factory: Callable[[], asyncio.Protocol]
    hang_up: Callable[[], None]
    _server: asyncio.Server | None = None

    @property
    def is_open(self) -> bool:
        return self._server is not None

    async def open(self) -> None:
        """Raises :class:`PortTaken`."""
        if self._server is not None:
            return
        sock = bound_socket(self.port, self.purpose)
        self.port = sock.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(self.factory, sock=sock)

    async def close(self) -> None:
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        self.hang_up()
        await asyncio.sleep(0)
