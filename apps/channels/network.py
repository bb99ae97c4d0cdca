"""Look-ups and connections that only reach allowed addresses.

The address that was checked is the one connected to, so a name whose answer changes between check
and connect (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohappyeyeballs import AddrInfoType, start_connection

from apps.channels.addresses import host_refusal, literal, refusal
from apps.channels.base import NetworkPolicy

Lookup = Callable[[str, int], Awaitable[list[str]]]
# How long the first address may take before the next is tried beside it.
_NEXT_ADDRESS_S: Final = 0.25
# How long an answer of the name server is used. The addresses in it have been checked.
_REMEMBER_S: Final = 10.0


class NoAddress(OSError):
    """A name that leads nowhere."""


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
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}

    async def addresses(self, host: str, port: int) -> list[str]:
        """Allowed addresses of ``host``; raises :class:`AddressRefused` or :class:`OSError`."""
        spelled = host_refusal(host, self._policy)
        if spelled:
            raise AddressRefused(spelled)
        address = literal(host)
        if address is not None:
            return [address]
        key = (host, port)
        until, found = self._known.get(key, (0.0, []))
        if time.monotonic() < until:
            return found
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
            raise NoAddress(f"{host} has no address")
        reasons = {address: refusal(address, self._policy) for address in found}
        allowed = [address for address, reason in reasons.items() if reason is None]
        if not allowed:
            first = next(reason for reason in reasons.values() if reason)
            raise AddressRefused(f"{host} leads to {first}")
        self._known[host, port] = (time.monotonic() + _REMEMBER_S, allowed)
        return allowed

    async def close(self) -> None:
        """Stop waiting for look-ups that run, and forget what is known."""
        self._known.clear()
        for task in list(self._running.values()):
            task.cancel()
        self._running.clear()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _info(address: str, port: int) -> AddrInfoType:
    family = _family(address)
    target = (address, port, 0, 0) if family is socket.AF_INET6 else (address, port)
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", target


async def connected_socket(names: Names, host: str, port: int) -> socket.socket:
    """A socket connected to an allowed address of ``host``: the first that answers (RFC 8305).

    Raises :class:`AddressRefused` or :class:`OSError`.
    """
    infos = [_info(address, port) for address in await names.addresses(host, port)]
    return await start_connection(infos, happy_eyeballs_delay=_NEXT_ADDRESS_S)
