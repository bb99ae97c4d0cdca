"""Mail servers on loopback: a real one (aiosmtpd), and one that says whatever a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult

from apps.channels.kinds.email.channel import EmailChannel
from apps.channels.kinds.email.settings import EmailSettings
from apps.channels.network import Lookup, system_lookup
from tests.channels.support import ALLOW, envelope, reset


def mailer(
    port: int, *, timeout: float = 2.0, secrets: Any = (), lookup: Lookup = system_lookup, **settings: Any
) -> Any:
    base = {"host": "127.0.0.1", "port": port, "tls": "none", "from_address": "portal@example.com", "hello": "portal"}
    network, most = settings.pop("network", ALLOW), settings.pop("max_in_flight", 8)
    parsed = EmailSettings.parse({**base, **settings})
    return EmailChannel(parsed, list(secrets), timeout=timeout, max_in_flight=most, network=network, lookup=lookup)


def mail(**changes: Any) -> Any:
    plain = {
        "recipient": "ada@example.org",
        "subject": "Order 1001",
        "body": b"Dear Ada\n",
        "content_type": "text/plain; charset=utf-8",
    }
    return envelope(**{**plain, **changes})


@dataclass
class Inbox:
    """aiosmtpd's handler: keeps what arrives, answers what a test sets per address."""

    port: int = 0
    mails: list[Any] = field(default_factory=list)
    connections: int = 0
    rcpt: dict[str, str] = field(default_factory=dict)
    data_answer: str = "250 2.0.0 Ok: queued as 4F2A"
    mail_answer: str = ""
    logins: list[tuple[str, str]] = field(default_factory=list)
    password: str = ""

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if self.mail_answer:
            return self.mail_answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        answer = self.rcpt.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(envelope)
        return self.data_answer

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password.decode() == self.password, handled=False)


@contextlib.asynccontextmanager
async def mail_server(**options: Any) -> AsyncIterator[Inbox]:
    """A real SMTP server. Options are those of aiosmtpd; ``implicit_tls`` speaks TLS from the first byte."""
    inbox = Inbox()
    implicit = options.pop("implicit_tls", None)
    transports: list[Any] = []

    class Counting(SMTP):
        def connection_made(self, transport: Any) -> None:
            if self._original_transport is None:
                inbox.connections += 1
            transports.append(transport)
            super().connection_made(transport)

    def made() -> SMTP:
        return Counting(inbox, loop=asyncio.get_running_loop(), authenticator=inbox.authenticate, **options)

    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0, ssl=implicit)
    inbox.port = server.sockets[0].getsockname()[1]
    try:
        yield inbox
    finally:
        server.close()
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0.01)


Step = str | Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Script:
    """Answers by the verb that was said; ``.`` is the final dot. What is not in it gets 250."""

    answers: dict[str, Step] = field(default_factory=dict)
    port: int = 0
    said: list[str] = field(default_factory=list)
    connections: int = 0


@contextlib.asynccontextmanager
async def scripted(**answers: Step) -> AsyncIterator[Script]:
    """An SMTP server that breaks where a test wants: ``GREETING``, ``MAIL``, ``DATA``, ``DOT``, ..."""
    script = Script(answers)
    writers: list[asyncio.StreamWriter] = []

    async def answer(verb: str, writer: asyncio.StreamWriter) -> None:
        default = {"GREETING": "220 ready", "DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 OK")
        step = script.answers.get(verb, default)
        if isinstance(step, str):
            writer.write(f"{step}\r\n".encode())
            await writer.drain()
        else:
            await step(writer)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script.connections += 1
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer("GREETING", writer)
            while line := (await reader.readline()).decode().strip():
                verb = re.split(r"[ :]", line)[0].upper()
                script.said.append(line)
                await answer(verb, writer)
                if verb == "DATA" and not writer.is_closing():
                    await reader.readuntil(b"\r\n.\r\n")
                    script.said.append(".")
                    await answer("DOT", writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(5)


async def cut(writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def drip(writer: asyncio.StreamWriter) -> None:
    """One continuation line after another, never the last."""
    while not writer.is_closing():
        writer.write(b"250-wait\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)
