"""E-mail over SMTP, with a few connections kept open between messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import aiosmtplib
from django.utils.translation import gettext as _

from apps.channels import failures
from apps.channels.base import DeliveryError, Envelope, NetworkPolicy, Receipt
from apps.channels.kinds.email.failures import Phase, of_error
from apps.channels.kinds.email.message import Mail, compose
from apps.channels.kinds.email.session import ConnectionStale, Progress, Session, opened
from apps.channels.kinds.email.settings import EmailSettings
from apps.channels.network import AddressRefused, Lookup, Names, system_lookup
from apps.channels.text import Redactor, clean, snippet
from apps.channels.transport import utc_now
from apps.core.errors import Invalid

# Servers end idle connections after a few minutes, some after ten seconds when they are busy.
KEEP_S: Final = 30.0


class EmailChannel:
    """At most ``max_connections`` dialogues at once; a further message waits, within its time-out."""

    def __init__(
        self,
        settings: EmailSettings,
        secrets: Sequence[str],
        *,
        timeout: float,
        max_in_flight: int,
        network: NetworkPolicy,
        lookup: Lookup = system_lookup,
    ) -> None:
        if settings.username and not secrets:
            raise Invalid.field("secret", _("is missing: the password of settings.username"))
        self._settings = settings
        self._password = secrets[0] if secrets else ""
        self._redact = Redactor(secrets)
        self._timeout = timeout
        self._limit = min(max_in_flight, settings.max_connections or max_in_flight)
        self._names = Names(network, lookup)
        self._where = f"{settings.host}:{settings.smtp_port}"
        self._kept: list[Session] = []
        self._slots: asyncio.Semaphore | None = None

    async def send(self, envelope: Envelope) -> Receipt:
        """Raises :class:`DeliveryError`. The time-out covers waiting, connecting and the whole dialogue."""
        progress = Progress()
        try:
            mail = compose(envelope, self._settings, now=utc_now())
            answer = await self._within_time(mail, progress)
        except DeliveryError as error:
            raise error.without(self._redact) from None
        answer = self._redact(clean(answer))
        return Receipt(250, answer, _queue_id(answer))

    async def close(self) -> None:
        """Close every idle connection."""
        kept, self._kept = self._kept, []
        for session in kept:
            session.close()
        self._slots = None
        await self._names.close()

    async def _within_time(self, mail: Mail, progress: Progress) -> str:
        self._slots = self._slots or asyncio.Semaphore(self._limit)
        try:
            async with asyncio.timeout(self._timeout), self._slots:
                return await self._deliver(mail, progress)
        except TimeoutError:
            raise failures.timed_out(self._timeout, sent=progress.phase is Phase.LEFT) from None
        except (aiosmtplib.SMTPException, OSError, AddressRefused) as error:
            raise of_error(error, phase=progress.phase, where=self._where) from None

    async def _deliver(self, mail: Mail, progress: Progress) -> str:
        """Over a kept connection if one is left. One that had died meanwhile costs nothing but a new one."""
        session = self._take()
        if session is not None:
            try:
                return await self._over(session, mail, progress)
            except ConnectionStale:
                self._drop_kept()
        return await self._over(await opened(self._settings, self._password, self._names, progress), mail, progress)

    async def _over(self, session: Session, mail: Mail, progress: Progress) -> str:
        try:
            answer = await session.deliver(mail, progress)
        except DeliveryError:
            if await session.reset():
                self._keep(session)
            else:
                session.close()
            raise
        except BaseException:
            session.abort()
            raise
        self._keep(session)
        return answer

    def _take(self) -> Session | None:
        while self._kept:
            session = self._kept.pop()
            if session.is_open and time.monotonic() - session.idle_since < KEEP_S:
                return session
            session.close()
        return None

    def _keep(self, session: Session) -> None:
        if session.used >= self._settings.max_messages_per_connection or len(self._kept) >= self._limit:
            session.close()
            return
        session.idle_since = time.monotonic()
        self._kept.append(session)

    def _drop_kept(self) -> None:
        """When one kept connection has ended, the server has probably ended them all."""
        for session in self._kept:
            session.close()
        self._kept.clear()


def _queue_id(answer: str) -> str:
    """What the server calls the message, where it says so (``250 2.0.0 Ok: queued as 4F2A``)."""
    _, found, name = answer.partition("queued as ")
    return snippet(name, 100) if found else ""
