"""One connection to a mail server, and one message over it. What aiosmtplib's ``sendmail`` does in one
go is spelled out here, because how far it got decides whether a failure is ambiguous.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Final

import aiosmtplib

from apps.channels.base import DeliveryError
from apps.channels.headers import refused
from apps.channels.kinds.email.failures import Phase, of_reply
from apps.channels.kinds.email.message import Mail
from apps.channels.kinds.email.settings import EmailSettings
from apps.channels.network import Names, connected_socket

_DOTS: Final = re.compile(rb"(?m)^\.")
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9.-]{1,253}\Z")
_CLOSING: Final = 421


class ConnectionStale(Exception):
    """A kept connection had ended before a new message began: nothing of the message was sent."""


@dataclass(slots=True)
class Progress:
    """How far the message has got. Shared with whoever turns a failure into an error."""

    phase: Phase = Phase.CONNECTING


@dataclass(slots=True)
class Session:
    """A connection that is greeted and logged in. ``used`` counts messages, ``idle_since`` is monotonic, s."""

    client: aiosmtplib.SMTP
    used: int = 0
    idle_since: float = field(default_factory=time.monotonic)

    @property
    def is_open(self) -> bool:
        return self.client.is_connected

    def close(self) -> None:
        """Say QUIT without waiting for the answer, and close."""
        protocol = self.client.protocol
        if protocol is not None and protocol.is_connected:
            protocol.write(b"QUIT\r\n")
        self.client.close()

    def abort(self) -> None:
        """Close in the middle of a dialogue."""
        self.client.close()

    async def deliver(self, mail: Mail, progress: Progress) -> str:
        """The server's answer to the final dot. Raises :class:`DeliveryError`, or what the connection raised."""
        options = self._options(mail)
        encoding = "utf-8" if mail.utf8 else "ascii"
        await self._begin(mail, options, encoding, progress)
        progress.phase = Phase.RECIPIENTS
        for recipient in mail.recipients:
            await self._name(recipient, encoding)
        self.used += 1
        return await self._transfer(mail.data, progress)

    def _options(self, mail: Mail) -> list[str]:
        utf8 = self.client.supports_extension("smtputf8")
        if mail.utf8 and not utf8:
            raise refused("recipient", "is not plain ASCII before the @, and this mail server has no SMTPUTF8")
        size = [f"SIZE={len(mail.data)}"] if self.client.supports_extension("size") else []
        body = ["BODY=8BITMIME"] if self.client.supports_extension("8bitmime") and mail.utf8 else []
        return size + body + (["SMTPUTF8"] if mail.utf8 else [])

    async def _begin(self, mail: Mail, options: list[str], encoding: str, progress: Progress) -> None:
        kept = self.used > 0
        progress.phase = Phase.SENDER
        try:
            await self.client.mail(mail.sender, options=options, encoding=encoding)
        except aiosmtplib.SMTPServerDisconnected:
            if kept:
                raise ConnectionStale from None
            raise
        except aiosmtplib.SMTPSenderRefused as error:
            if kept and error.code == _CLOSING:
                raise ConnectionStale from None
            raise of_reply(error.code, error.message, progress.phase, "settings.from_address") from None

    async def _name(self, recipient: str, encoding: str) -> None:
        """All or nobody: a message that some have already got could not be tried again for the others."""
        try:
            await self.client.rcpt(recipient, encoding=encoding)
        except aiosmtplib.SMTPRecipientRefused as error:
            raise of_reply(error.code, error.message, Phase.RECIPIENTS, f"recipient {recipient}") from None

    async def _transfer(self, data: bytes, progress: Progress) -> str:
        progress.phase = Phase.DATA
        go_on = await self.client.execute_command(b"DATA")
        if go_on.code != 354:
            raise of_reply(go_on.code, go_on.message, Phase.DATA)
        protocol = self.client.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        progress.phase = Phase.LEFT
        protocol.write(_DOTS.sub(b"..", data if data.endswith(b"\r\n") else data + b"\r\n") + b".\r\n")
        answer = await protocol.read_response()
        if answer.code != 250:
            raise of_reply(answer.code, answer.message, Phase.LEFT)
        return f"{answer.code} {answer.message}"

    async def reset(self) -> bool:
        """Forget a refused message, so that the connection may carry the next. False if it cannot."""
        try:
            return self.is_open and (await self.client.rset()).code == 250
        except (aiosmtplib.SMTPException, OSError):
            return False


async def opened(settings: EmailSettings, password: str, names: Names, progress: Progress) -> Session:
    """Connect to an allowed address, upgrade to TLS, log in."""
    progress.phase = Phase.CONNECTING
    sock = await connected_socket(names, settings.host, settings.smtp_port)
    client = aiosmtplib.SMTP(
        hostname=settings.host,
        sock=sock,
        timeout=None,
        use_tls=settings.tls == "tls",
        start_tls=False,
        tls_context=_tls(settings) if settings.tls != "none" else None,
        local_hostname=settings.hello or _own_name(),
    )
    try:
        await client.connect()
        await client.ehlo()
        await _upgrade(client, settings)
        if settings.username:
            progress.phase = Phase.LOGGING_IN
            await _log_in(client, settings, password)
    except BaseException:
        client.close()
        sock.close()
        raise
    return Session(client)


async def _upgrade(client: aiosmtplib.SMTP, settings: EmailSettings) -> None:
    if settings.tls not in ("starttls", "starttls_optional"):
        return
    if client.supports_extension("starttls"):
        await client.starttls()
        await client.ehlo()
    elif settings.tls == "starttls":
        raise _unsupported("does not offer STARTTLS: set settings.tls to tls, starttls_optional or none")
    elif settings.username:
        raise _unsupported("does not offer STARTTLS, and the password is not sent in clear: see settings.tls")


async def _log_in(client: aiosmtplib.SMTP, settings: EmailSettings, password: str) -> None:
    if not client.supported_auth_methods:
        raise _unsupported("offers no way to log in that we know: see settings.username")
    await client.login(settings.username, password)


def _unsupported(text: str) -> DeliveryError:
    return DeliveryError(f"The mail server {text}", error_class="smtp_unsupported")


def _tls(settings: EmailSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _own_name() -> str:
    """Without a look-up, which may hang: the name of this machine, if it can be said in EHLO."""
    name = socket.gethostname()
    return name if _HOST_NAME.match(name) else "localhost"
