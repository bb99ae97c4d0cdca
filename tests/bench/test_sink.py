from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from bench.processes import ROOT, free_port
from bench.sink import Tally, header, identity, request_end

HEAD = b"POST /hook HTTP/1.1\r\nHost: x\r\nWebhook-ID: msg_1\r\nIdempotency-Key: key_1\r\nContent-Length: 4"


def test_header_is_found_in_any_case_and_keeps_the_case_of_its_value() -> None:
    head = b"POST / HTTP/1.1\r\nWEBHOOK-ID:  Msg_A \r\nHost: x"
    assert header(head, head.lower(), b"\r\nwebhook-id:") == b"Msg_A"
    assert header(head, head.lower(), b"\r\nabsent:") == b""


def test_the_webhook_id_counts_before_the_idempotency_key() -> None:
    assert identity(HEAD, HEAD.lower()) == b"msg_1"
    without = HEAD.replace(b"Webhook-ID: msg_1\r\n", b"")
    assert identity(without, without.lower()) == b"key_1"


@pytest.mark.parametrize(
    ("head", "body", "complete"),
    [
        (HEAD, b"abcd", True),
        (HEAD, b"abc", False),
        (HEAD.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked"), b"4\r\nabcd\r\n0\r\n\r\n", True),
        (HEAD.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked"), b"4\r\nabcd\r\n", False),
        (b"GET /stats HTTP/1.1\r\nHost: x", b"", True),
    ],
)
def test_request_end_waits_for_the_whole_body(head: bytes, body: bytes, complete: bool) -> None:
    data = head + b"\r\n\r\n" + body
    assert request_end(data, len(head), head.lower()) == (len(data) if complete else -1)


def test_a_second_request_with_the_same_id_is_counted_but_does_not_prolong() -> None:
    tally = Tally()
    for key, now in ((b"a", 1.0), (b"b", 2.0), (b"a", 3.0)):
        tally.add(key, now)
    assert tally.stats() == {"requests": 3, "unique": 2, "first": 1.0, "last": 2.0}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    number = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.sink", str(number)], cwd=ROOT)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", number), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield number
    finally:
        process.kill()
        process.wait(5)


def ask(port: int, method: str, path: str) -> dict[str, float]:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path)
    found: dict[str, float] = json.load(connection.getresponse())
    connection.close()
    return found


def test_requests_split_and_glued_together_are_each_answered(port: int) -> None:
    ask(port, "POST", "/reset?latency_ms=0")
    one = HEAD + b"\r\n\r\nabcd"
    two = one.replace(b"msg_1", b"msg_2")
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(one[:30])
        time.sleep(0.02)
        client.sendall(one[30:] + two + two)
        answers = b""
        while answers.count(b"200 OK") < 3:
            answers += client.recv(4096)
    stats = ask(port, "GET", "/stats")
    assert (stats["requests"], stats["unique"]) == (3, 2)


def test_the_answer_waits_for_the_latency(port: int) -> None:
    ask(port, "POST", "/reset?latency_ms=80")
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(HEAD + b"\r\n\r\nabcd")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")
    assert time.monotonic() - started >= 0.08
    ask(port, "POST", "/reset?latency_ms=0")
