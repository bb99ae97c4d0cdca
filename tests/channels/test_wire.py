"""What a connection of our own must get right about HTTP/1.1 and about being kept."""

from __future__ import annotations

import asyncio

import pytest
from yarl import URL

from apps.channels import transport
from apps.channels.base import DeliveryError
from apps.channels.transport import DirectTransport
from apps.channels.wire import request_bytes
from tests.channels.support import ALLOW, failure_of, free_port, response


@pytest.fixture
async def direct():
    made = DirectTransport(timeout=0.5, max_in_flight=2, network=ALLOW, setting="settings.url")
    yield made
    await made.close()


def saying(*pieces, close=False, pause=0.01):
    async def answer(_, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        if close:
            writer.close()

    return answer


async def ask(direct, server, body=b"x"):
    return await direct.exchange("POST", URL(server.url), {"X-A": "1"}, body)


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"], b"body"),
        ([b"HTTP/1.1 2", b"00 OK\r\nContent-Le", b"ngth: 4\r\n\r", b"\nbo", b"dy"], b"body"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n", b"2\r\ndy\r\n0\r\n\r\n"], b"body"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"], b"body"),
        ([b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"], b"body"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
        ([b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"], b""),
    ],
)
async def test_answers_in_any_number_of_pieces(direct, server, pieces, body):
    server.does(saying(*pieces))
    for _ in range(2):
        answer = await ask(direct, server)
        assert (answer.body, answer.whole) == (body, True)
    assert server.connections == 1


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"])
async def test_answer_without_a_length_ends_with_the_connection(direct, server, head):
    server.does(saying(head, b"bo", b"dy", close=True))
    answer = await ask(direct, server)
    assert (answer.body, answer.whole) == (b"body", True)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_connection_that_should_not_be_used_again_is_not(direct, server, answer):
    server.does(saying(answer))
    for _ in range(2):
        assert (await ask(direct, server)).status == 200
    assert server.connections == 2


async def test_bytes_nobody_asked_for_end_an_idle_connection(direct, server):
    server.does(saying(response(200, b"ok"), b"HTTP/1.1 200 OK\r\n", pause=0.02))
    await ask(direct, server)
    await asyncio.sleep(0.05)
    server.answers(204)
    assert (await ask(direct, server)).status == 204
    assert server.connections == 2


async def test_leftover_of_an_answer_is_never_taken_for_the_next_one(direct, server):
    server.does(saying(response(200, b"ok") + b"HTTP/1.1 200 OK\r\nContent-"))
    await ask(direct, server)
    server.answers(503, b"no")
    assert (await ask(direct, server)).status == 503


async def test_answer_before_the_whole_request_was_read_is_taken_and_the_connection_closed(direct, server):
    async def early(reader, writer):
        await reader.read(1000)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.transport.abort()

    listener = await asyncio.start_server(early, "127.0.0.1", port := free_port(), limit=1024)
    answer = await direct.exchange("POST", URL(f"http://127.0.0.1:{port}/"), {}, b"x" * 20_000_000)
    assert (answer.status, answer.body) == (413, b"big")
    assert direct._idle == []
    await asyncio.sleep(0.25)
    listener.close()


async def test_waiting_for_a_free_connection_counts_into_the_timeout(direct, server):
    async def silence(_, writer):
        await asyncio.sleep(5)

    server.does(silence)
    started = asyncio.get_running_loop().time()
    results = await asyncio.gather(*(ask(direct, server) for _ in range(4)), return_exceptions=True)
    assert asyncio.get_running_loop().time() - started < 1.2
    assert all(isinstance(item, DeliveryError) and item.timed_out for item in results)
    assert sorted(item.ambiguous for item in results) == [False, False, True, True]


async def test_connection_that_idled_too_long_is_not_used(direct, server, monkeypatch):
    await ask(direct, server)
    monkeypatch.setattr(transport, "KEEP_S", -1.0)
    await ask(direct, server)
    assert server.connections == 2


async def test_ipv6_address_is_bracketed_in_the_host_header():
    head = request_bytes("POST", URL("http://[::1]:8080/a%20b?q=1#frag"), {}, b"")
    assert head == b"POST /a%20b?q=1 HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Length: 0\r\n\r\n"


async def test_default_port_is_not_in_the_host_header():
    assert b"Host: x.example\r\n" in request_bytes("POST", URL("https://x.example:443/"), {}, b"")


@pytest.mark.parametrize("headers", [{"X-A": "1\r\nX-B: 2"}, {"X-A\n": "1"}, {"X-A": "1\r"}, {"X-A": "\0"}])
def test_no_head_with_a_stray_line_break_leaves_even_if_nobody_checked_before(headers):
    with pytest.raises(DeliveryError) as caught:
        request_bytes("POST", URL("http://x.example/"), headers, b"")
    assert caught.value.permanent


async def test_transport_works_on_another_loop_after_the_first_is_gone(server):
    """An engine process runs one loop after another; connections of the old one are dropped."""
    made = DirectTransport(timeout=1, max_in_flight=2, network=ALLOW, setting="settings.url")
    await ask(made, server)
    first = made._idle[0]
    await made.close()

    def second_loop():
        async def once():
            answer = await made.exchange("POST", URL(server.url), {}, b"")
            await made.close()
            return answer.status

        return asyncio.run(once())

    assert await asyncio.to_thread(second_loop) == 200
    assert not first.is_open


async def test_flood_of_header_lines_is_not_http(direct, server):
    server.does(saying(b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 5000 + b"\r\n"))
    error = await failure_of(ask(direct, server))
    assert error.error_class == "bad_answer"
