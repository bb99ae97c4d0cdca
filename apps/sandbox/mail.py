"""A mail server: real SMTP, with real bad days.

Addresses whose name is ``nobody`` do not exist: RCPT is answered with 550 at any time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Any, Final

from aiosmtpd.smtp import SMTP, Envelope, Session

from apps.sandbox.ledger import Ledger, Outcome
from apps.sandbox.outages import Fate, Mode, Outages

UNKNOWN_NAME: Final = "nobody"
MAX_BYTES: Final = 10 * 1024 * 1024
KEY_HEADERS: Final = ("X-Idempotency-Key", "Idempotency-Key", "Message-ID")
CLOSE_AFTER_S: Final = 0.05
# aiosmtpd tells every line of every dialogue; what matters is in the ledger.
logging.getLogger("mail.log").setLevel(logging.WARNING)


class Mailbox:
    """What all connections share: the outages, the ledger, and who is connected."""

    name = "smtp"
    title = "A mail server"
    endpoint = "SMTP, without TLS"

    def __init__(
        self, outages: Outages, ledger: Ledger, clock: Callable[[], float], now: Callable[[], datetime]
    ) -> None:
        self.outages, self.ledger, self.clock, self.now = outages, ledger, clock, now
        self.connections: set[Connection] = set()

    def connection(self) -> Connection:
        return Connection(self)

    def hang_up(self) -> None:
        """Cut every connection, as a server that goes down does."""
        for connection in list(self.connections):
            connection.abort()

    def greeting_delay(self) -> float:
        """Seconds before a new caller is greeted while the server is slow for everybody."""
        on = self.outages.on(self.clock())
        return max((one.delay for one in on if one.mode is Mode.SLOW and one.share == 1), default=0.0)

    async def handle_RCPT(  # aiosmtpd finds its hooks by these names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.partition("@")[0].lower() == UNKNOWN_NAME:
            self._refuse_address(address)
            return f"550 5.1.1 <{address}>: there is no such mailbox here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    def _refuse_address(self, address: str) -> None:
        """The key of the message is not known yet: it comes with the headers."""
        turn = self.ledger.turn("")
        self.ledger.write(
            self.now(), "", turn, Outcome.REJECTED, answer="550", note="no such mailbox", excerpt=f"RCPT TO {address}"
        )

    async def handle_DATA(self, server: Connection, session: Session, envelope: Envelope) -> str:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        headers = BytesHeaderParser().parsebytes(content)
        key = next((str(headers[name]) for name in KEY_HEADERS if headers[name]), "")
        turn = self.ledger.turn(key)
        fate = self.outages.fate(key, turn, self.clock())
        reply, outcome, note = self._verdict(key, fate)
        self.ledger.write(
            self.now(), key, turn, outcome, answer=reply[:3], note=note, excerpt=_excerpt(envelope, headers)
        )
        await asyncio.sleep(0.0 if server.was_greeted_late else fate.wait)
        server.was_greeted_late = False
        if reply.startswith("421"):
            server.hang_up_soon()
        return reply

    def _verdict(self, key: str, fate: Fate) -> tuple[str, Outcome, str]:
        match fate.mode:
            case None:
                return "250 2.0.0 OK: delivered", self.ledger.book(key), ""
            case Mode.SLOW:
                return "250 2.0.0 OK: delivered", self.ledger.book(key), f"after {fate.wait:g} s"
            case Mode.HANG:
                return "451 4.4.2 nobody waited this long", Outcome.HUNG, "no answer"
            case Mode.RATE_LIMIT:
                return "450 4.7.1 Too many messages: try again later", Outcome.RATE_LIMITED, ""
            case Mode.REJECT:
                return f"{fate.status or 550} 5.7.1 Message refused by policy", Outcome.REJECTED, ""
            case _:
                status = fate.status or (421 if fate.chance < 0.3 else 450)
                return f"{status} 4.3.2 The mail system is having trouble", Outcome.FAILED, ""


class Connection(SMTP):
    """One caller. Knows how to keep them waiting and how to hang up."""

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__(mailbox, hostname="mail.sandbox.test", ident="opsportal sandbox", data_size_limit=MAX_BYTES)
        self._mailbox = mailbox
        self.was_greeted_late = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._mailbox.connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._mailbox.connections.discard(self)
        super().connection_lost(error)

    async def _handle_client(self) -> None:
        delay = self._mailbox.greeting_delay()
        if delay:
            self.was_greeted_late = True
            await asyncio.sleep(delay)
        await super()._handle_client()

    def hang_up_soon(self) -> None:
        """After the reply that is about to be written."""
        asyncio.get_running_loop().call_later(CLOSE_AFTER_S, self._close)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abort()


def _excerpt(envelope: Envelope, headers: Message) -> str:
    recipients = ", ".join(envelope.rcpt_tos)
    return f"To {recipients}: {headers['Subject'] or '(no subject)'}"
