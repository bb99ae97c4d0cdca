"""The provider everybody posts to: a loopback HTTP server that counts requests and unique ids.

It shares two cores with what it measures, so it is one epoll loop without a framework: about 6 µs of
CPU per request. It answers 200 after a fixed latency and keeps no body. ``GET /stats`` tells what it
saw; ``POST /reset?latency_ms=100`` forgets it and sets the latency.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import deque
from urllib.parse import parse_qs, urlsplit

BODY = b'{"received":true}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
ID_HEADERS = (b"\r\nwebhook-id:", b"\r\nidempotency-key:")
READ = 65536


def header(head: bytes, lowered: bytes, name: bytes) -> bytes:
    """The value of a header; ``name`` is ``b"\\r\\nname:"`` in lower case. Empty when it is missing."""
    start = lowered.find(name)
    if start < 0:
        return b""
    start += len(name)
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


def identity(head: bytes, lowered: bytes) -> bytes:
    """The id a request is counted under: webhook-id, else Idempotency-Key."""
    return header(head, lowered, ID_HEADERS[0]) or header(head, lowered, ID_HEADERS[1])


def request_end(data: bytes, head_end: int, lowered: bytes) -> int:
    """Where the request that starts ``data`` ends, or -1 while bytes are missing."""
    length = header(lowered, lowered, b"\r\ncontent-length:")
    if length:
        end = head_end + 4 + int(length)
        return end if len(data) >= end else -1
    if header(lowered, lowered, b"\r\ntransfer-encoding:") == b"chunked":
        last = data.find(b"0\r\n\r\n", head_end + 4)
        return last + 5 if last >= 0 else -1
    return head_end + 4


class Tally:
    """What arrived since the last reset. Times are ``time.monotonic`` seconds, shared by all processes of a host."""

    def __init__(self, latency: float = 0.0) -> None:
        self.latency = latency
        self.requests = 0
        self.ids: set[bytes] = set()
        self.first = 0.0
        self.last = 0.0

    def add(self, key: bytes, now: float) -> None:
        self.requests += 1
        self.first = self.first or now
        if key not in self.ids:
            self.ids.add(key)
            self.last = now

    def stats(self) -> dict[str, float]:
        return {"requests": self.requests, "unique": len(self.ids), "first": self.first, "last": self.last}


class Sink:
    """One thread, one epoll; a delayed answer waits in a queue that is in due order by itself."""

    def __init__(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self.listener = listener
        self.poller = select.epoll()
        self.poller.register(listener.fileno(), select.EPOLLIN)
        self.sockets: dict[int, socket.socket] = {}
        self.partial: dict[int, bytes] = {}
        self.waiting: deque[tuple[float, socket.socket]] = deque()
        self.tally = Tally()

    def run(self) -> None:
        own = self.listener.fileno()
        while True:
            for fd, _ in self.poller.poll(self._timeout(), 512):
                if fd == own:
                    self._accept()
                else:
                    self._readable(fd)
            self._answer_due()

    def _timeout(self) -> float:
        return max(0.0, self.waiting[0][0] - time.monotonic()) if self.waiting else 1.0

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets[connection.fileno()] = connection
            self.poller.register(connection.fileno(), select.EPOLLIN)

    def _readable(self, fd: int) -> None:
        connection = self.sockets[fd]
        try:
            data = connection.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(fd)
            return
        self._consume(fd, connection, self.partial.pop(fd, b"") + data)

    def _consume(self, fd: int, connection: socket.socket, data: bytes) -> None:
        while data:
            head_end = data.find(b"\r\n\r\n")
            lowered = data[:head_end].lower()
            end = request_end(data, head_end, lowered) if head_end >= 0 else -1
            if end < 0:
                self.partial[fd] = data
                return
            self._request(connection, data[:head_end], lowered)
            data = data[end:]

    def _request(self, connection: socket.socket, head: bytes, lowered: bytes) -> None:
        key = identity(head, lowered)
        if not key:
            self._send(connection, self._control(head))
            return
        now = time.monotonic()
        self.tally.add(key, now)
        if self.tally.latency:
            self.waiting.append((now + self.tally.latency, connection))
        else:
            self._send(connection, ANSWER)

    def _answer_due(self) -> None:
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            self._send(self.waiting.popleft()[1], ANSWER)

    def _send(self, connection: socket.socket, answer: bytes) -> None:
        try:
            connection.send(answer)
        except OSError:
            # The peer hung up before its answer, as a killed worker does; the request stays counted.
            if connection.fileno() >= 0:
                self._close(connection.fileno())

    def _close(self, fd: int) -> None:
        self.partial.pop(fd, None)
        connection = self.sockets.pop(fd)
        self.poller.unregister(fd)
        connection.close()

    def _control(self, head: bytes) -> bytes:
        target = urlsplit(head.split(b" ", 2)[1].decode("latin-1"))
        if target.path == "/reset":
            self.waiting.clear()
            self.tally = Tally(float(parse_qs(target.query).get("latency_ms", ["0"])[0]) / 1000)
        elif target.path != "/stats":
            return BAD
        body = json.dumps(self.tally.stats()).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def main(port: int) -> None:
    with socket.create_server(("127.0.0.1", port), backlog=2048) as listener:
        Sink(listener).run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
