"""Look-ups and connections that only reach allowed addresses.

The address that was checked is the one connected to, so a name whose answer changes between check
and connect (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable

from aiohttp.abc import AbstractResolver, ResolveResult

from apps.channels.addresses import host_refusal, refusal
from apps.channels.base import NetworkPolicy

Lookup = Callable[[str, int], Awaitable[list[str]]]
AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[str | int, ...]]


class AddressRefused(Exception):
    """Every address of a destination is one deliveries may not go to. Not an OSError: nothing failed."""


async def system_lookup(host: str, port: int) -> list[str]:
    """The addresses of ``host`` from the system's resolver. Raises :class:`OSError`.

    On a thread of its own that nobody waits for: a name server that hangs holds up neither the
    other look-ups of the process nor its exit.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def finish(addresses: list[str] | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(addresses or [])

    def work() -> None:
        addresses, error = None, None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
        except (OSError, UnicodeError) as problem:
            error = problem if isinstance(problem, OSError) else OSError(str(problem))
        with contextlib.suppress(RuntimeError):  # the loop was closed while the name server hung
            loop.call_soon_threadsafe(finish, addresses, error)

    threading.Thread(target=work, name=f"lookup-{host}", daemon=True).start()
    return await answer


class Names:
    """Host names to allowed addresses. One look-up per name at a time, however many wait for it."""

    def __init__(self, policy: NetworkPolicy, lookup: Lookup = system_lookup) -> None:
        self._policy = policy
        self._lookup = lookup
        self._running: dict[tuple[str, int], asyncio.Task[list[str]]] = {}

    async def addresses(self, host: str, port: int) -> list[str]:
        """Allowed addresses of ``host``; raises :class:`AddressRefused` or :class:`OSError`."""
        spelled = host_refusal(host, self._policy)
        if spelled:
            raise AddressRefused(spelled)
        key = (host, port)
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.ensure_future(self._find(host, port))
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    def _forget(self, key: tuple[str, int], task: asyncio.Task[list[str]]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # everyone who waited may have timed out; then nobody else asks for it

    async def _find(self, host: str, port: int) -> list[str]:
        found = await self._lookup(host, port)
        if not found:
            raise OSError(f"{host} has no address")
        reasons = {address: refusal(address, self._policy) for address in found}
        allowed = [address for address, reason in reasons.items() if reason is None]
        if not allowed:
            first = next(reason for reason in reasons.values() if reason)
            raise AddressRefused(first if first.startswith(host) else f"{host} leads to {first}")
        return allowed

    async def close(self) -> None:
        """Stop waiting for look-ups that run."""
        for task in list(self._running.values()):
            task.cancel()
        self._running.clear()


class GuardedResolver(AbstractResolver):
    """:class:`Names` as aiohttp wants it."""

    def __init__(self, names: Names) -> None:
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._names.addresses(host, port)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=_family(address), proto=0, flags=0)
            for address in found
        ]

    async def close(self) -> None:
        await self._names.close()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def guarded_sockets(policy: NetworkPolicy) -> Callable[[AddrInfo], socket.socket]:
    """A socket factory for aiohttp that checks each address once more.

    It is the only check of an address written into the URL itself, which is never looked up.
    """

    def make(info: AddrInfo) -> socket.socket:
        family, kind, proto, _, sockaddr = info
        reason = refusal(str(sockaddr[0]), policy)
        if reason:
            raise AddressRefused(reason)
        return socket.socket(family, kind, proto)

    return make


async def connected_socket(names: Names, host: str, port: int) -> socket.socket:
    """A socket connected to the first allowed address of ``host`` that answers.

    Raises :class:`AddressRefused`, or the :class:`OSError` of the last address tried.
    """
    loop = asyncio.get_running_loop()
    last: OSError | None = None
    for address in await names.addresses(host, port):
        sock = socket.socket(_family(address), socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, (address, port))
        except OSError as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    raise last or OSError(f"{host} has no address")
