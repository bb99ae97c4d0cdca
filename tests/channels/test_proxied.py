"""Through a proxy the same things must hold; the test's server plays the proxy and the destination."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from tests.channels.support import channel, envelope, failure_of, reset, response


async def send(server, *, timeout=1.0, method="POST", body=b"hello"):
    made = channel(url="http://partner.example/hook", proxy=server.url, timeout=timeout, method=method, secrets=["key"])
    try:
        return await made.send(envelope(body=body))
    finally:
        await made.close()


async def test_body_arrives_whole_and_signed(server):
    body = bytes(range(256)) * 1000
    receipt = await send(server, body=body)
    assert (receipt.status_code, receipt.response_excerpt) == (200, "ok")
    assert server.last.body == body
    assert server.last.headers["host"] == "partner.example"
    assert server.last.headers["webhook-signature"].startswith("v1,")


async def test_empty_body(server):
    await send(server, body=b"")
    assert server.last.headers["content-length"] == "0"


@pytest.mark.parametrize(("status", "permanent"), [(400, True), (302, True), (500, False), (429, False)])
async def test_status_of_the_destination_is_judged_as_always(server, status, permanent):
    server.answers(status, b"no", Location="http://elsewhere.example/")
    error = await failure_of(send(server))
    assert (error.permanent, error.status_code) == (permanent, status)
    assert len(server.requests) == 1


async def test_silence_is_ambiguous(server):
    async def silence(_, writer):
        await asyncio.sleep(5)

    server.does(silence)
    error = await failure_of(send(server, timeout=0.2))
    assert (error.timed_out, error.ambiguous) == (True, True)


@pytest.mark.parametrize("status", [200, 400])
async def test_answer_that_drips_or_breaks_off(server, status):
    async def drip(_, writer):
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 1000\r\n\r\n".encode())
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def cut(_, writer):
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 1000\r\n\r\npart".encode())
        await writer.drain()
        await asyncio.sleep(0.02)
        reset(writer)

    for behaviour in (drip, cut):
        server.does(behaviour)
        error = await failure_of(send(server, timeout=0.2))
        assert error.status_code == status
        assert error.ambiguous is (status == 200)
        assert error.permanent is (status == 400)


async def test_huge_and_packed_answers_are_capped(server):
    server.answers(500, gzip.compress(b"\0" * 5_000_000), Content_Encoding="gzip")
    assert len((await failure_of(send(server))).response_excerpt) <= 2048
    server.answers(200, b"x" * 500_000)
    assert len((await send(server)).response_excerpt) == 2048


async def test_what_is_not_http(server):
    async def nonsense(_, writer):
        writer.write(b"SSH-2.0\r\n\r\n")

    server.does(nonsense)
    assert (await failure_of(send(server))).error_class == "bad_answer"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_dead_kept_connection_is_no_hidden_second_request(server, method):
    async def once(_, writer):
        if len(server.requests) == 1:
            writer.write(response(200, b"ok"))
        else:
            writer.close()

    server.does(once)
    made = channel(url="http://partner.example/hook", proxy=server.url, method=method)
    await made.send(envelope())
    error = await failure_of(made.send(envelope()))
    await made.close()
    assert (error.ambiguous, error.permanent) == (True, False)
    assert len(server.requests) == 2
