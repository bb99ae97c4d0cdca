from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac

import pytest
from aiohttp import web

from apps.channels.kinds.http.channel import HttpChannel
from apps.channels.kinds.http.settings import HttpSettings
from apps.core.errors import Invalid
from tests.channels.support import ALLOW, DENY, SECRET, channel, envelope, failure_of, free_port, http_server, response


async def send_one(server, *, secrets=(), **changes):
    """Send one envelope with default settings; ``settings`` adds to them."""
    settings = {"url": server.url, **changes.pop("settings", {})}
    made = channel(secrets=secrets, timeout=changes.pop("timeout", 2.0), **settings)
    try:
        return await made.send(envelope(**changes))
    finally:
        await made.close()


BODIES = [
    b'{"z":1,"a":2,"big":123456789012345678901234567890,"n":1.10}',
    '{"name":"日本 😀 é"}'.encode(),
    b'{"escaped":"\\u00e9"}',
    b"\x00\xff\xfe raw",
    b" \n trailing \r\n",
]


@pytest.mark.parametrize("body", BODIES)
async def test_exact_bytes_arrive_key_order_big_numbers_and_unicode(server, body):
    await send_one(server, body=body)
    assert server.last.body == body


async def test_empty_body_is_sent_as_content_length_0(server):
    await send_one(server, body=b"")
    assert server.last.headers["content-length"] == "0"
    assert "transfer-encoding" not in server.last.headers


async def test_large_body_arrives_whole_without_a_warning(server):
    body = bytes(range(256)) * 12_000
    await send_one(server, body=body)
    assert server.last.body == body


async def test_head_is_what_we_say_and_nothing_else(server):
    await send_one(server, tenant_id="acme", request_id="req-9", traceparent="00-1-2-01")
    assert server.last.line == "POST /hook HTTP/1.1"
    assert server.last.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "opsportal/1 (+delivery)",
        "content-type": "application/json",
        "accept": "*/*",
        "accept-encoding": "identity",
        "idempotency-key": "order-1001",
        "x-request-id": "req-9",
        "x-tenant-id": "acme",
        "traceparent": "00-1-2-01",
        "content-length": "15",
    }


async def test_content_type_is_the_messages_own(server):
    await send_one(server, content_type="text/csv; charset=utf-8", headers={"Content-Type": "text/html"})
    assert server.last.headers["content-type"] == "text/csv; charset=utf-8"
    assert server.last.names.count("Content-Type") == 1


async def test_idempotency_key_falls_back_to_the_wire_id(server):
    await send_one(server, idempotency_key="")
    assert server.last.headers["idempotency-key"] == "msg_0123456789abcdef"


async def test_signed_at_send_time_with_every_live_secret_id_per_message_timestamp_per_attempt(server):
    times = iter([1_700_000_000.9, 1_700_000_060.0])
    made = HttpChannel(
        HttpSettings(url=server.url),
        ["whsec_" + base64.b64encode(b"new").decode(), "old"],
        timeout=2,
        max_in_flight=1,
        network=ALLOW,
        clock=lambda: next(times),
    )
    await made.send(envelope())
    await made.send(envelope(attempt=2))
    await made.close()
    first, second = (request.headers for request in server.requests)
    assert first["webhook-id"] == second["webhook-id"] == "msg_0123456789abcdef"
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1700000000", "1700000060")
    for headers, stamp in ((first, b"1700000000"), (second, b"1700000060")):
        signed = b"msg_0123456789abcdef." + stamp + b'.{"order": 1001}'
        digests = [hmac.new(key, signed, hashlib.sha256).digest() for key in (b"new", b"old")]
        assert headers["webhook-signature"] == " ".join("v1," + base64.b64encode(d).decode() for d in digests)


async def test_unsigned_without_a_secret_and_with_auth_none(server):
    await send_one(server)
    await send_one(server, secrets=[SECRET], settings={"auth": "none"})
    for request in server.requests:
        assert not [name for name in request.headers if name.startswith("webhook-")]


def basic(pair):
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"auth": "bearer"}, "authorization", f"Bearer {SECRET}"),
        ({"auth": "basic"}, "authorization", basic(f"{SECRET}:")),
        ({"auth": "basic", "username": "bob"}, "authorization", basic(f"bob:{SECRET}")),
        ({"auth": "header", "auth_header": "X-Api-Key"}, "x-api-key", SECRET),
    ],
)
async def test_secret_may_be_a_bearer_a_password_or_a_header_and_cannot_be_replaced(server, settings, name, value):
    await send_one(server, secrets=[SECRET], settings=settings, headers={name.title(): "evil"})
    assert server.last.headers[name] == value
    assert "webhook-signature" not in server.last.headers


async def test_basic_credentials_are_masked_in_what_the_destination_echoes(server):
    async def echo(request, writer):
        writer.write(response(500, request.headers["authorization"].encode()))

    server.does(echo)
    error = await failure_of(send_one(server, secrets=[SECRET], settings={"auth": "basic", "username": "bob"}))
    assert error.response_excerpt == "Basic [secret]"


async def test_custom_header_must_not_override_the_id_or_the_signature(server):
    evil = {
        "IDEMPOTENCY-KEY": "evil",
        "Webhook-Id": "evil",
        "Webhook-Signature": "v1,evil",
        "Webhook-Timestamp": "0",
        "Host": "evil.example",
        "Content-Length": "3",
        "Transfer-Encoding": "chunked",
        "Connection": "close",
        "X-Request-Id": "evil",
        "X-Fine": "yes",
    }
    await send_one(server, secrets=["key"], headers=evil, request_id="req-1")
    sent = server.last
    assert sent.headers["x-fine"] == "yes"
    assert "evil" not in " ".join(sent.headers.values())
    assert len({name.lower() for name in sent.names}) == len(sent.names)
    assert sent.body == b'{"order": 1001}'


@pytest.mark.parametrize("headers", [{"X-A": "1\r\nX-Evil: 2"}, {"X-A\r\nX-Evil": "1"}, {"X-A": "\0"}, {"": "x"}])
async def test_crlf_in_a_header_is_rejected_before_anything_is_sent(server, headers):
    error = await failure_of(send_one(server, headers=headers))
    assert (error.permanent, error.error_class) == (True, "bad_message")
    assert "headers." in str(error)
    assert server.connections == 0


@pytest.mark.parametrize("field", ["tenant_id", "request_id", "traceparent", "content_type", "wire_id"])
async def test_control_character_in_a_field_that_becomes_a_header_names_the_field(server, field):
    error = await failure_of(send_one(server, **{field: "a\r\nb"}))
    assert error.permanent
    assert field in str(error)
    assert server.connections == 0


async def test_service_headers_are_sent_and_a_message_may_replace_them(server):
    await send_one(server, settings={"headers": {"X-Team": "payments", "User-Agent": "us"}}, headers={"x-team": "ops"})
    assert server.last.headers["x-team"] == "ops"
    assert server.last.headers["user-agent"] == "us"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_method_comes_from_the_settings_and_carries_the_body(server, method):
    await send_one(server, settings={"method": method})
    assert server.last.line.startswith(f"{method} ")
    assert server.last.body == b'{"order": 1001}'


async def test_410_pauses_the_service(server):
    server.answers(410, b"gone")
    error = await failure_of(send_one(server))
    assert (error.pauses_service, error.permanent, error.error_class) == (True, True, "gone")


async def test_huge_2xx_answer_is_sent_and_its_excerpt_short(server):
    async def flood(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()

    server.does(flood)
    receipt = await send_one(server)
    assert len(receipt.response_excerpt) == 2048


async def test_chunked_gzip_answer_is_unpacked_for_the_excerpt(server):
    packed = gzip.compress(b'{"ok": true}')

    async def answer(_, writer):
        writer.write(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n")
        writer.write(f"{len(packed):x}\r\n".encode() + packed + b"\r\n0\r\n\r\n")

    server.does(answer)
    assert (await send_one(server)).response_excerpt == '{"ok": true}'


async def test_cookies_are_not_kept(server):
    server.answers(200, b"ok", Set_Cookie="session=1; Path=/")
    made = channel(url=server.url)
    await made.send(envelope())
    await made.send(envelope())
    await made.close()
    assert "cookie" not in server.last.headers


async def test_timeout_before_the_body_was_sent_is_not_ambiguous():
    """The destination accepts the connection but never reads, so a large body stays with us."""
    release = asyncio.Event()

    async def hold(reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await release.wait()
        writer.transport.abort()

    listener = await asyncio.start_server(hold, "127.0.0.1", 0, limit=1024)
    port = listener.sockets[0].getsockname()[1]
    made = channel(url=f"http://127.0.0.1:{port}/", timeout=0.3)
    error = await failure_of(made.send(envelope(body=b"x" * 30_000_000)))
    await made.close()
    release.set()
    listener.close()
    await listener.wait_closed()
    await asyncio.sleep(0.01)
    assert (error.timed_out, error.ambiguous) == (True, False)
    assert "had not been sent" in str(error)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_dead_keep_alive_peer_is_a_retryable_failure_and_no_hidden_second_request(server, method):
    """The peer ends the kept connection in the moment the next request arrives."""
    seen = []

    async def once(request, writer):
        seen.append(request)
        if len(seen) == 1:
            writer.write(response(200, b"ok"))
        else:
            writer.close()

    server.does(once)
    made = channel(url=server.url, method=method)
    await made.send(envelope())
    error = await failure_of(made.send(envelope()))
    await made.close()
    assert (error.permanent, error.ambiguous, error.error_class) == (False, True, "connection_reset")
    assert len(seen) == 2
    assert server.connections == 1


async def test_keep_alive_connection_closed_in_idle_time_is_replaced_without_an_error(server):
    async def answer_and_close(_, writer):
        writer.write(response(200, b"ok"))
        await writer.drain()
        writer.close()

    server.does(answer_and_close)
    made = channel(url=server.url)
    await made.send(envelope())
    await asyncio.sleep(0.05)
    await made.send(envelope())
    await made.close()
    assert server.connections == 2


async def test_max_in_flight_bounds_the_connections(server):
    async def slow(_, writer):
        await asyncio.sleep(0.02)
        writer.write(response(200, b"ok"))

    server.does(slow)
    made = channel(url=server.url)
    await asyncio.gather(*(made.send(envelope()) for _ in range(24)))
    await made.close()
    assert server.connections <= 8


async def test_cancelled_send_leaves_the_channel_usable(server):
    async def slow(_, writer):
        await asyncio.sleep(0.2)
        writer.write(response(200, b"ok"))

    server.does(slow)
    made = channel(url=server.url)
    task = asyncio.ensure_future(made.send(envelope()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.answers(200, b"ok")
    assert (await made.send(envelope())).status_code == 200
    await made.close()


async def test_our_proxy_failing_is_not_the_destinations_failure(server):
    made = channel(url="http://partner.example/hook", proxy=f"http://127.0.0.1:{free_port()}")
    error = await failure_of(made.send(envelope()))
    await made.close()
    assert (error.error_class, error.counts_as_failure, error.permanent) == ("proxy", False, False)


@pytest.mark.parametrize(("scheme", "status"), [("https", 502), ("https", 407), ("http", 407)])
async def test_our_proxy_refusing_is_not_the_destinations_failure(server, scheme, status):
    server.answers(status, b"no")
    made = channel(url=f"{scheme}://partner.example/hook", proxy=f"http://127.0.0.1:{server.port}")
    error = await failure_of(made.send(envelope()))
    await made.close()
    assert (error.error_class, error.counts_as_failure) == ("proxy", False)


async def test_proxy_carries_the_request_and_is_exempt_from_the_address_policy(server):
    made = channel(url="http://partner.example/hook", proxy=f"http://127.0.0.1:{server.port}", network=DENY)
    assert (await made.send(envelope())).status_code == 200
    await made.close()
    assert server.last.line == "POST http://partner.example/hook HTTP/1.1"


async def test_proxy_is_no_way_around_the_policy_for_literal_addresses(server):
    made = channel(url="http://10.0.0.1/hook", proxy=f"http://127.0.0.1:{server.port}", network=DENY)
    error = await failure_of(made.send(envelope()))
    await made.close()
    assert error.error_class == "address_refused"
    assert server.connections == 0


async def test_certificate_that_cannot_be_verified_is_retryable_with_a_clear_text(certificate):
    async with http_server(ssl=certificate.server) as secure:
        made = channel(url=f"https://localhost:{secure.port}/")
        error = await failure_of(made.send(envelope()))
        await made.close()
    assert (error.error_class, error.permanent, error.ambiguous) == ("tls", False, False)
    assert "self-signed certificate" in str(error)


async def test_expired_certificate_says_so(expired_certificate):
    async with http_server(ssl=expired_certificate.server) as secure:
        made = channel(url=f"https://localhost:{secure.port}/", ca_file=expired_certificate.path)
        error = await failure_of(made.send(envelope()))
        await made.close()
    assert error.error_class == "tls"
    assert "expired" in str(error)


async def test_ca_file_makes_a_private_certificate_good(certificate):
    async with http_server(ssl=certificate.server) as secure:
        made = channel(url=f"https://localhost:{secure.port}/", ca_file=certificate.path)
        assert (await made.send(envelope())).status_code == 200
        await made.close()


async def test_plain_http_on_a_tls_address_is_a_tls_error():
    async def plain(_, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(plain, "127.0.0.1", 0)
    made = channel(url=f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/")
    error = await failure_of(made.send(envelope()))
    await made.close()
    listener.close()
    assert (error.error_class, error.ambiguous) == ("tls", False)


async def test_works_with_an_ordinary_web_server():
    async def accept(request):
        return web.json_response({"got": await request.text()}, status=202)

    app = web.Application()
    app.router.add_post("/in", accept)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port := free_port())
    await site.start()
    made = channel(url=f"http://127.0.0.1:{port}/in?x=1")
    receipt = await made.send(envelope(body=b"hi"))
    await made.close()
    await runner.cleanup()
    assert (receipt.status_code, receipt.response_excerpt) == (202, '{"got": "hi"}')


@pytest.mark.parametrize("auth", ["signature", "bearer", "basic"])
def test_auth_that_needs_a_secret_says_where_it_should_come_from(auth):
    with pytest.raises(Invalid, match="MIDTRANS_KEY"):
        channel(url="https://x.example/", auth=auth, secret_ref="MIDTRANS_KEY")


def test_secret_with_a_line_break_cannot_become_a_header():
    with pytest.raises(Invalid, match="line break"):
        channel(url="https://x.example/", auth="bearer", secrets=["a\nb"])
