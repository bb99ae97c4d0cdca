"""What every HTTP kind of channel must do whatever the destination does: one suite, run for each kind.

A kind says how a channel is made for a server and what its provider answers to a good message.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from dataclasses import dataclass
from typing import Any

import pytest

from apps.channels.base import Channel, Envelope
from tests.channels.support import (
    ALLOW,
    DENY,
    SECRET,
    Server,
    channel,
    envelope,
    failure_of,
    free_port,
    reset,
    response,
)


@dataclass(frozen=True)
class Subject:
    """One kind: its settings for a base address, its secret and its provider's yes."""

    kind: str
    url_field: str
    settings: dict[str, Any]
    yes: bytes = b"ok"
    yes_status: int = 200
    recipient: str = ""
    secret: str = SECRET

    def made(self, port: int, *, timeout: float = 2.0, network: Any = ALLOW, host: str = "127.0.0.1") -> Channel:
        settings = {**self.settings, self.url_field: f"http://{host}:{port}"}
        return channel(self.kind, timeout=timeout, secrets=[self.secret], network=network, **settings)

    def message(self, **changes: Any) -> Envelope:
        plain = {"body": b"hello", "content_type": "text/plain", "subject": "Order 1001", "recipient": self.recipient}
        return envelope(**{**plain, **changes})


SUBJECTS = [
    Subject("http", "url", {}),
    Subject(
        "whatsapp",
        "base_url",
        {"phone_number_id": "100"},
        b'{"messaging_product":"whatsapp","messages":[{"id":"wamid.1"}]}',
        recipient="+6281234567890",
    ),
    Subject("slack", "url", {"mode": "webhook"}),
    Subject("slack", "base_url", {"mode": "api", "channel": "#ops"}, b'{"ok":true,"ts":"1.2"}'),
    Subject("telegram", "base_url", {"chat_id": "-100"}, b'{"ok":true,"result":{"message_id":7}}', secret="123:ABCdef"),
    Subject("pagerduty", "base_url", {}, b'{"status":"success","dedup_key":"order-1001"}', 202),
    Subject(
        "plane",
        "base_url",
        {"workspace": "acme", "project": "4af68566-94a4-4eb3-94aa-50dc9427067b"},
        b'{"id":"8e1f0e0a-0a0b-4c0d-8e0f-000000000001"}',
        201,
    ),
]


@pytest.fixture(params=SUBJECTS, ids=lambda item: item.kind + item.settings.get("mode", ""))
def subject(request):
    return request.param


async def sent_to(server: Server, subject: Subject, **made: Any) -> Any:
    made_channel = subject.made(server.port, **made)
    try:
        return await made_channel.send(subject.message())
    finally:
        await made_channel.close()


class HttpContract:
    """Inherited by tests/channels/test_contract.py."""

    async def test_success_gives_a_receipt_and_reuses_the_connection(self, server, subject):
        server.answers(subject.yes_status, subject.yes)
        made = subject.made(server.port)
        for _ in range(3):
            receipt = await made.send(subject.message())
        await made.close()
        assert receipt.status_code == subject.yes_status
        assert receipt.response_excerpt == subject.yes.decode()
        assert len(server.requests) == 3
        assert server.connections == 1

    async def test_idempotency_key_is_on_the_wire_on_every_attempt(self, server, subject):
        server.answers(500)
        made = subject.made(server.port)
        for attempt in (1, 2):
            await failure_of(made.send(subject.message(attempt=attempt)))
        await made.close()
        assert [request.headers["idempotency-key"] for request in server.requests] == ["order-1001"] * 2

    async def test_request_id_and_traceparent_reach_the_wire(self, server, subject):
        server.answers(subject.yes_status, subject.yes)
        made = subject.made(server.port)
        await made.send(subject.message(request_id="req-1", traceparent="00-abc-def-01"))
        await made.close()
        assert server.last.headers["x-request-id"] == "req-1"
        assert server.last.headers["traceparent"] == "00-abc-def-01"

    async def test_500_is_retryable_and_counts(self, server, subject):
        server.answers(500, b"boom")
        error = await failure_of(sent_to(server, subject))
        assert (error.permanent, error.counts_as_failure, error.ambiguous) == (False, True, False)
        assert error.status_code == 500
        assert error.response_excerpt == "boom"

    async def test_400_is_permanent_and_does_not_count(self, server, subject):
        server.answers(400, b"bad")
        error = await failure_of(sent_to(server, subject))
        assert (error.permanent, error.counts_as_failure) == (True, False)

    async def test_429_is_retryable_waits_as_told_and_does_not_count(self, server, subject):
        server.answers(429, b"slow down", Retry_After="17")
        error = await failure_of(sent_to(server, subject))
        assert (error.permanent, error.counts_as_failure, error.retry_after) == (False, False, 17.0)

    async def test_503_with_retry_after_is_retryable_and_counts(self, server, subject):
        server.answers(503, b"later", Retry_After="5")
        error = await failure_of(sent_to(server, subject))
        assert (error.permanent, error.counts_as_failure, error.retry_after) == (False, True, 5.0)

    async def test_redirect_is_never_followed(self, server, subject):
        server.answers(302, Location=f"http://127.0.0.1:{server.port}/elsewhere")
        error = await failure_of(sent_to(server, subject))
        assert error.permanent
        assert "/elsewhere" in str(error)
        assert len(server.requests) == 1

    async def test_dripping_head_ends_at_the_total_timeout(self, server, subject):
        async def drip(_, writer):
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while not writer.is_closing():
                writer.write(b"X-Drip: 1\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)

        server.does(drip)
        started = time.monotonic()
        error = await failure_of(sent_to(server, subject, timeout=0.2))
        assert time.monotonic() - started < 1
        assert (error.timed_out, error.ambiguous, error.error_class) == (True, True, "timeout")

    async def test_dripping_body_ends_at_the_total_timeout(self, server, subject):
        async def drip(_, writer):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.02)

        server.does(drip)
        started = time.monotonic()
        error = await failure_of(sent_to(server, subject, timeout=0.2))
        assert time.monotonic() - started < 1
        assert (error.timed_out, error.ambiguous, error.status_code) == (True, True, 200)

    async def test_silence_is_a_timeout_after_the_body_was_sent_and_so_ambiguous(self, server, subject):
        async def silence(_, writer):
            await asyncio.sleep(5)

        server.does(silence)
        error = await failure_of(sent_to(server, subject, timeout=0.2))
        assert (error.timed_out, error.ambiguous, error.permanent) == (True, True, False)
        assert "0.2 s" in str(error)

    async def test_refused_connection_is_retryable_and_not_ambiguous(self, subject):
        made = subject.made(free_port())
        error = await failure_of(made.send(subject.message()))
        await made.close()
        assert error.error_class == "connection_refused"
        assert (error.permanent, error.ambiguous, error.counts_as_failure) == (False, False, True)

    async def test_reset_without_an_answer_is_ambiguous(self, server, subject):
        async def cut(_, writer):
            reset(writer)

        server.does(cut)
        error = await failure_of(sent_to(server, subject))
        assert (error.error_class, error.ambiguous, error.permanent) == ("connection_reset", True, False)

    async def test_reset_in_the_middle_of_a_yes_is_ambiguous(self, server, subject):
        async def cut(_, writer):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")
            await writer.drain()
            await asyncio.sleep(0.05)
            reset(writer)

        server.does(cut)
        error = await failure_of(sent_to(server, subject))
        assert (error.error_class, error.ambiguous, error.status_code) == ("broken_answer", True, 200)

    async def test_reset_in_the_middle_of_a_no_is_judged_by_its_status(self, server, subject):
        async def cut(_, writer):
            writer.write(b"HTTP/1.1 400 No\r\nContent-Length: 1000\r\n\r\npart")
            await writer.drain()
            await asyncio.sleep(0.05)
            reset(writer)

        server.does(cut)
        error = await failure_of(sent_to(server, subject))
        assert (error.permanent, error.status_code) == (True, 400)

    async def test_huge_error_page_is_cut_and_the_connection_closed(self, server, subject):
        async def flood(_, writer):
            writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 1000000000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"x" * 65536)
                await writer.drain()

        server.does(flood)
        error = await failure_of(sent_to(server, subject))
        assert error.status_code == 500
        assert len(error.response_excerpt) == 2048

    async def test_answer_that_is_not_utf_8_and_holds_nul_is_stored_safely(self, server, subject):
        server.answers(500, b"\xff\xfe\x00caf\xe9")
        error = await failure_of(sent_to(server, subject))
        assert error.response_excerpt == "\ufffd\ufffdcaf\ufffd"

    async def test_gzip_bomb_is_unpacked_only_to_the_cap(self, server, subject):
        server.answers(500, gzip.compress(b"\0" * 20_000_000), Content_Encoding="gzip")
        error = await failure_of(sent_to(server, subject))
        assert len(error.response_excerpt) <= 2048

    async def test_empty_answer_and_answer_without_body(self, server, subject):
        server.answers(502)
        assert (await failure_of(sent_to(server, subject))).response_excerpt == ""

        async def head_only(_, writer):
            writer.write(b"HTTP/1.1 500 No\r\n\r\n")
            writer.close()

        server.does(head_only)
        assert (await failure_of(sent_to(server, subject))).status_code == 500

    async def test_what_is_not_http_is_retryable_and_ambiguous(self, server, subject):
        async def nonsense(_, writer):
            writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

        server.does(nonsense)
        error = await failure_of(sent_to(server, subject))
        assert (error.error_class, error.permanent, error.ambiguous) == ("bad_answer", False, True)

    async def test_secret_is_in_no_error_excerpt_or_repr(self, server, subject):
        async def echo(request, writer):
            told = f"{request.line} {request.headers} {request.body!r} {subject.secret}".encode()
            writer.write(response(500, told, Location=subject.secret))

        server.does(echo)
        made = subject.made(server.port)
        error = await failure_of(made.send(subject.message()))
        assert subject.secret not in f"{error} {error!r} {error.args} {error.response_excerpt} {made!r} {made}"
        assert "500" in str(error)
        server.answers(302, b"", Location=f"https://x.example/{subject.secret}")
        error = await failure_of(made.send(subject.message()))
        await made.close()
        assert subject.secret not in f"{error}"
        assert error.__suppress_context__

    async def test_private_address_is_refused_by_policy_as_a_permanent_error(self, server, subject):
        error = await failure_of(sent_to(server, subject, network=DENY))
        assert (error.error_class, error.permanent, error.counts_as_failure) == ("address_refused", True, False)
        assert "127.0.0.1" in str(error)
        assert "DELIVERY_PRIVATE_NETWORKS" in str(error)
        assert server.connections == 0

    async def test_name_that_leads_to_a_private_address_is_refused(self, server, subject):
        error = await failure_of(sent_to(server, subject, network=DENY, host="localhost"))
        assert error.error_class == "address_refused"
        assert server.connections == 0

    async def test_control_character_in_our_own_header_values_is_a_permanent_error(self, server, subject):
        made = subject.made(server.port)
        error = await failure_of(made.send(subject.message(idempotency_key="a\r\nX-Evil: 1")))
        await made.close()
        assert (error.permanent, error.error_class) == (True, "bad_message")
        assert "idempotency_key" in str(error)
        assert server.requests == []

    async def test_closed_channel_may_be_used_again(self, server, subject):
        server.answers(subject.yes_status, subject.yes)
        made = subject.made(server.port)
        await made.send(subject.message())
        await made.close()
        await made.send(subject.message())
        await made.close()
        await made.close()
        assert len(server.requests) == 2
