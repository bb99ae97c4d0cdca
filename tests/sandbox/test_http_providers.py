"""Every outage of the HTTP providers, over real sockets."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from apps.channels.signing import Signer
from apps.sandbox.ledger import Outcome
from apps.sandbox.server import SandboxServer
from tests.sandbox.helpers import CHARGE, post, quiet_sandbox

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
TEXT = {"messaging_product": "whatsapp", "to": "6281234567890", "type": "text", "text": {"body": "Halo"}}
BEARER = {"Authorization": "Bearer token"}


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    async with quiet_sandbox(secrets={"billing-webhook": SECRET}) as found:
        yield found


# --- normal days -------------------------------------------------------------------------------------


async def test_midtrans_takes_a_charge_and_names_the_same_order_the_same(sandbox: SandboxServer) -> None:
    status, body, _ = await post(sandbox.url("midtrans"), "key-1")
    again = await post(sandbox.url("midtrans"), "key-1")
    assert (status, body["status_code"], body["order_id"], body["gross_amount"]) == (200, "201", "A-1", "10000.00")
    assert again[1]["transaction_id"] == body["transaction_id"]
    ledger = sandbox.received("midtrans")
    assert [one.outcome for one in ledger.recent] == [Outcome.ACCEPTED, Outcome.DUPLICATE]
    assert ledger.succeeded_twice == {"key-1"}


@pytest.mark.parametrize(
    ("charge", "complaint"),
    [
        ({**CHARGE, "transaction_details": {"order_id": "A", "gross_amount": 0}}, "gross_amount must be equal"),
        ({**CHARGE, "transaction_details": {"order_id": "A", "gross_amount": "1"}}, "gross_amount must be a number"),
        ({**CHARGE, "transaction_details": {"gross_amount": 5}}, "order_id is required"),
        ({"transaction_details": {"order_id": "A", "gross_amount": 5}}, "payment_type is required"),
        ([1, 2], "transaction_details is required"),
    ],
)
async def test_midtrans_refuses_a_wrong_charge_for_good(sandbox: SandboxServer, charge: object, complaint: str) -> None:
    status, body, _ = await post(sandbox.url("midtrans"), "key-1", charge)
    assert (status, body["status_code"]) == (400, "400")
    assert complaint in body["validation_messages"][0]
    assert sandbox.received("midtrans").recent[0].outcome is Outcome.REJECTED
    assert sandbox.received("midtrans").succeeded == set()


async def test_whatsapp_takes_a_text_and_knows_it_by_the_portals_own_name(sandbox: SandboxServer) -> None:
    url = f"{sandbox.url('whatsapp')}/v21.0/105550001/messages"
    status, body, _ = await post(url, "", {**TEXT, "biz_opaque_callback_data": "wire-1"}, **BEARER)
    assert status == 200
    assert body["contacts"] == [{"input": "6281234567890", "wa_id": "6281234567890"}]
    assert body["messages"][0]["id"].startswith("wamid.")
    assert sandbox.received("whatsapp").succeeded == {"wire-1"}


async def test_whatsapp_refuses_a_number_that_is_not_there(sandbox: SandboxServer) -> None:
    url = f"{sandbox.url('whatsapp')}/v21.0/105550001/messages"
    status, body, _ = await post(url, "key-1", {**TEXT, "to": "6280012345678"}, **BEARER)
    assert (status, body["error"]["code"]) == (400, 131026)


async def test_whatsapp_wants_a_token(sandbox: SandboxServer) -> None:
    url = f"{sandbox.url('whatsapp')}/v21.0/105550001/messages"
    status, body, _ = await post(url, "key-1", TEXT)
    assert (status, body["error"]["code"]) == (401, 190)


async def test_the_partner_trusts_only_what_is_signed(sandbox: SandboxServer) -> None:
    url = sandbox.url("billing-webhook")
    now = str(int(time.time()))
    signature = Signer([SECRET]).sign("msg-1", now, b'{"a": 1}')
    signed = {"webhook-id": "msg-1", "webhook-timestamp": now, "webhook-signature": signature}
    async with aiohttp.ClientSession() as session:
        answers = []
        for data, given in ((b'{"a": 1}', signed), (b'{"a": 2}', signed), (b'{"a": 1}', {})):
            async with session.post(url, data=data, headers=given) as answer:
                answers.append(answer.status)
    assert answers == [202, 401, 401]
    assert dict(sandbox.received("billing-webhook").signatures) == {"verified": 1, "wrong signature": 1, "missing": 1}


async def test_a_partner_without_a_secret_takes_everything() -> None:
    async with quiet_sandbox() as sandbox:
        assert (await post(sandbox.url("billing-webhook"), "key-1", {"a": 1}))[0] == 202
        assert dict(sandbox.received("billing-webhook").signatures) == {"not checked": 1}


async def test_another_path_says_what_is_played_here_and_is_not_counted(sandbox: SandboxServer) -> None:
    status, body, _ = await post(sandbox.station("midtrans").address + "/v3/nothing", "key-1")
    assert status == 404
    assert "POST /v2/charge" in body["error"]
    assert sandbox.received("midtrans").total == 0


async def test_a_body_beyond_the_limit_is_refused(sandbox: SandboxServer) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield b"x" * 1_000_000

    async with aiohttp.ClientSession() as session, session.post(sandbox.url("midtrans"), data=endless()) as answer:
        assert answer.status == 413


# --- outages -----------------------------------------------------------------------------------------


async def test_errors_answer_500_and_503_in_the_providers_own_words(sandbox: SandboxServer) -> None:
    await sandbox.start_outage("midtrans", "errors")
    answers = [await post(sandbox.url("midtrans"), f"key-{number}") for number in range(12)]
    assert {status for status, _, _ in answers} == {500, 503}
    assert all(body["status_code"] == str(status) for status, body, _ in answers)
    assert sandbox.received("midtrans").outcomes == {Outcome.FAILED: 12}


@pytest.mark.parametrize("status", [500, 502, 599])
async def test_errors_can_have_one_status(sandbox: SandboxServer, status: int) -> None:
    await sandbox.start_outage("midtrans", "errors", status=status)
    assert {(await post(sandbox.url("midtrans"), f"key-{n}"))[0] for n in range(3)} == {status}


async def test_rate_limit_says_when_to_come_back_and_ends_when_ended(sandbox: SandboxServer) -> None:
    await sandbox.start_outage("billing-webhook", "rate_limit", delay=7)
    status, _, headers = await post(sandbox.url("billing-webhook"), "key-1", {})
    assert (status, headers["Retry-After"]) == (429, "7")
    assert sandbox.received("billing-webhook").recent[0].outcome is Outcome.RATE_LIMITED
    await sandbox.end_outage("billing-webhook")
    await sandbox.start_outage("midtrans", "rate_limit")
    await sandbox.end_outage("midtrans", "rate_limit")
    assert (await post(sandbox.url("midtrans"), "key-2"))[0] == 200


@pytest.mark.parametrize(
    ("provider", "path", "status", "code"),
    [("midtrans", "", 400, None), ("billing-webhook", "", 422, None), ("whatsapp", "/v21.0/1/messages", 400, 131026)],
)
async def test_reject_is_for_good(
    sandbox: SandboxServer, provider: str, path: str, status: int, code: int | None
) -> None:
    await sandbox.start_outage(provider, "reject")
    found, body, _ = await post(sandbox.url(provider) + path, "key-1", TEXT, **BEARER)
    assert found == status
    assert code is None or body["error"]["code"] == code
    assert sandbox.received(provider).recent[0].outcome is Outcome.REJECTED


async def test_reject_can_have_another_status(sandbox: SandboxServer) -> None:
    await sandbox.start_outage("midtrans", "reject", status=422)
    assert (await post(sandbox.url("midtrans"), "key-1"))[0] == 422


async def test_gone_answers_410(sandbox: SandboxServer) -> None:
    await sandbox.start_outage("billing-webhook", "gone")
    assert (await post(sandbox.url("billing-webhook"), "key-1"))[0] == 410
    assert sandbox.received("billing-webhook").recent[0].outcome is Outcome.GONE


async def test_slow_books_at_once_and_answers_late(sandbox: SandboxServer) -> None:
    await sandbox.start_outage("midtrans", "slow", delay=0.3)
    began = time.monotonic()
    answer = asyncio.create_task(post(sandbox.url("midtrans"), "key-1"))
    while not sandbox.received("midtrans").succeeded:
        await asyncio.sleep(0.01)
    assert time.monotonic() - began < 0.25
    assert (await answer)[0] == 200
    assert time.monotonic() - began >= 0.3


async def test_an_answer_too_late_for_the_caller_makes_the_next_try_a_duplicate(sandbox: SandboxServer) -> None:
    await sandbox.start_outage("midtrans", "slow", delay=5)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(post(sandbox.url("midtrans"), "key-1"), 0.3)
    await sandbox.end_outage("midtrans")
    assert (await post(sandbox.url("midtrans"), "key-1"))[0] == 200
    assert sandbox.received("midtrans").succeeded_twice == {"key-1"}


async def test_hang_never_answers_and_books_nothing(sandbox: SandboxServer) -> None:
    await sandbox.start_outage("midtrans", "hang")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(post(sandbox.url("midtrans"), "key-1"), 0.3)
    ledger = sandbox.received("midtrans")
    assert (ledger.outcomes, ledger.keys, ledger.succeeded) == ({Outcome.HUNG: 1}, {"key-1"}, set())


async def test_refuse_really_closes_the_socket_and_opens_it_on_the_same_port(sandbox: SandboxServer) -> None:
    port = sandbox.port("midtrans")
    await sandbox.start_outage("midtrans", "refuse")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    assert (await post(sandbox.url("billing-webhook").replace("hooks", "none")))[0] == 404  # the others go on
    await sandbox.end_outage("midtrans")
    assert sandbox.port("midtrans") == port
    assert (await post(sandbox.url("midtrans"), "key-1"))[0] == 200


async def test_refuse_cuts_connections_that_are_kept_alive(sandbox: SandboxServer) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.post(sandbox.url("midtrans"), json=CHARGE) as answer:
            assert answer.status == 200
        await sandbox.start_outage("midtrans", "refuse")
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.post(sandbox.url("midtrans"), json=CHARGE)


async def test_a_request_under_way_is_cut_when_the_socket_closes(sandbox: SandboxServer) -> None:
    await sandbox.start_outage("midtrans", "hang")
    hanging = asyncio.create_task(post(sandbox.url("midtrans"), "key-1"))
    while not sandbox.received("midtrans").total:
        await asyncio.sleep(0.01)
    await sandbox.start_outage("midtrans", "refuse")
    with pytest.raises(aiohttp.ClientConnectionError):
        await asyncio.wait_for(hanging, 3)


async def test_health_follows_the_outage(sandbox: SandboxServer) -> None:
    url = sandbox.station("midtrans").address + "/health"
    async with aiohttp.ClientSession() as session:
        statuses = []
        for act in (None, "errors", None):
            await (sandbox.start_outage("midtrans", act) if act else sandbox.end_outage("midtrans"))
            async with session.get(url) as answer:
                statuses.append(answer.status)
    assert statuses == [200, 503, 200]
    assert sandbox.received("midtrans").total == 0


async def test_a_mix_for_ten_times_a_hundred_messages_is_the_same_every_time() -> None:
    async def run() -> dict[Outcome, int]:
        async with quiet_sandbox(seed=42) as sandbox:
            sandbox.set_mix("midtrans", errors=0.10, rate_limit=0.05, reject=0.02)
            async with aiohttp.ClientSession() as session:

                async def one(number: int) -> None:
                    headers = {"Idempotency-Key": f"key-{number}"}
                    async with session.post(sandbox.url("midtrans"), json=CHARGE, headers=headers) as answer:
                        await answer.read()

                await asyncio.gather(*(one(number) for number in range(500)))
            return dict(sandbox.received("midtrans").outcomes)

    first = await run()
    assert first == await run()
    assert set(first) == {Outcome.ACCEPTED, Outcome.FAILED, Outcome.RATE_LIMITED, Outcome.REJECTED}
    assert sum(first.values()) == 500
