"""The mail server, through a real SMTP client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from email.message import EmailMessage

import aiosmtplib
import pytest

from apps.sandbox.ledger import Outcome
from apps.sandbox.server import SandboxServer
from tests.sandbox.helpers import quiet_sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    async with quiet_sandbox() as found:
        yield found


async def send(sandbox: SandboxServer, key: str = "key-1", to: str = "ayu@example.com", timeout: float = 5) -> str:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@sandbox.test", to, "Your order 7"
    message["X-Idempotency-Key"] = key
    message.set_content("Halo")
    port = sandbox.port("smtp")
    _, answer = await aiosmtplib.send(message, hostname="127.0.0.1", port=port, start_tls=False, timeout=timeout)
    return answer


async def refused(sandbox: SandboxServer, key: str = "key-1", to: str = "ayu@example.com") -> int:
    with pytest.raises((aiosmtplib.SMTPResponseException, aiosmtplib.SMTPRecipientsRefused)) as caught:
        await send(sandbox, key, to)
    found = caught.value
    return found.recipients[0].code if isinstance(found, aiosmtplib.SMTPRecipientsRefused) else found.code


async def test_a_mail_arrives_and_twice_is_a_duplicate(sandbox: SandboxServer) -> None:
    assert (await send(sandbox)).startswith("2.0.0 OK")
    await send(sandbox)
    ledger = sandbox.received("smtp")
    assert [one.outcome for one in ledger.recent] == [Outcome.ACCEPTED, Outcome.DUPLICATE]
    assert ledger.recent[0].excerpt == "To ayu@example.com: Your order 7"
    assert ledger.succeeded_twice == {"key-1"}


async def test_a_mailbox_that_does_not_exist_is_refused_at_once(sandbox: SandboxServer) -> None:
    assert await refused(sandbox, to="nobody@example.com") == 550
    assert sandbox.received("smtp").outcomes == {Outcome.REJECTED: 1}


async def test_errors_are_temporary_and_some_close_the_connection(sandbox: SandboxServer) -> None:
    await sandbox.start_outage("smtp", "errors")
    codes = {await refused(sandbox, f"key-{number}") for number in range(12)}
    assert codes == {450, 421}


@pytest.mark.parametrize(
    ("mode", "status", "code", "outcome"),
    [
        ("errors", 451, 451, Outcome.FAILED),
        ("reject", None, 550, Outcome.REJECTED),
        ("reject", 554, 554, Outcome.REJECTED),
        ("rate_limit", None, 450, Outcome.RATE_LIMITED),
    ],
)
async def test_outages_answer_in_smtp(
    sandbox: SandboxServer, mode: str, status: int | None, code: int, outcome: Outcome
) -> None:
    await sandbox.start_outage("smtp", mode, status=status)
    assert await refused(sandbox) == code
    assert sandbox.received("smtp").outcomes == {outcome: 1}


async def test_slow_greets_late(sandbox: SandboxServer) -> None:
    await sandbox.start_outage("smtp", "slow", delay=0.3)
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port("smtp"))
    assert (await reader.readline()).startswith(b"220 ")
    assert time.monotonic() - began >= 0.3
    writer.close()
    began = time.monotonic()
    await send(sandbox)
    assert 0.3 <= time.monotonic() - began < 0.6  # it does not wait a second time for the same mail


async def test_slow_also_holds_up_a_connection_that_was_open_before(sandbox: SandboxServer) -> None:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=sandbox.port("smtp"), start_tls=False, timeout=5)
    await client.connect()
    await sandbox.start_outage("smtp", "slow", delay=0.3)
    began = time.monotonic()
    await client.sendmail("shop@sandbox.test", ["ayu@example.com"], b"Subject: x\r\n\r\nHalo\r\n")
    assert time.monotonic() - began >= 0.3
    await client.quit()


async def test_hang_takes_the_mail_and_never_answers(sandbox: SandboxServer) -> None:
    await sandbox.start_outage("smtp", "hang")
    with pytest.raises(aiosmtplib.SMTPTimeoutError):
        await send(sandbox, timeout=0.3)
    ledger = sandbox.received("smtp")
    assert (ledger.outcomes, ledger.succeeded) == ({Outcome.HUNG: 1}, set())


async def test_refuse_closes_the_socket_and_cuts_who_is_connected(sandbox: SandboxServer) -> None:
    port = sandbox.port("smtp")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    await sandbox.start_outage("smtp", "refuse")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 2)
    writer.close()
    await sandbox.end_outage("smtp")
    assert sandbox.port("smtp") == port
    await send(sandbox)


async def test_stopping_does_not_wait_for_who_is_connected() -> None:
    sandbox = await quiet_sandbox().start()
    await sandbox.start_outage("smtp", "hang")
    hanging = asyncio.create_task(send(sandbox))
    while not sandbox.received("smtp").total:
        await asyncio.sleep(0.01)
    began = time.monotonic()
    await sandbox.stop()
    assert time.monotonic() - began < 1
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await hanging
