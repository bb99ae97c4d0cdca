"""Alertmanager's silences on a real socket, as 0.25 answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeAlertmanager:
    """``answer`` replaces what is said to (method, path): a status, or None to go on as usual."""

    def __init__(self) -> None:
        self.silences: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[str, str], int | None] = lambda method, path: None
        self.url = ""

    def standing(self) -> list[dict[str, Any]]:
        return [one for one in self.silences.values() if one["status"]["state"] != "expired"]

    def post(self, given: dict[str, Any]) -> tuple[int, Any]:
        if not given["matchers"]:
            return 422, {"code": 602, "message": "matchers in body should have at least 1 items"}
        if not any(matcher["value"] for matcher in given["matchers"]):
            return 400, "at least one matcher must not match the empty string"
        if datetime.fromisoformat(given["endsAt"]) <= datetime.now(UTC):
            return 400, "end time can't be in the past"
        known = self.silences.get(given.get("id", ""))
        if given.get("id") and known is None:
            return 404, "silence not found"
        same = known is not None and known["status"]["state"] != "expired" and known["matchers"] == given["matchers"]
        silence_id = given["id"] if same else f"{len(self.silences) + 1:08d}-0000"
        self.silences[silence_id] = {**given, "id": silence_id, "status": {"state": "active"}}
        return 200, {"silenceID": silence_id}

    def get(self, path: str) -> tuple[int, Any]:
        if path == "/api/v2/silences":
            return 200, list(self.silences.values())
        found = self.silences.get(path.removeprefix("/api/v2/silence/"))
        return (200, found) if found is not None else (404, "")

    def delete(self, path: str) -> tuple[int, Any]:
        found = self.silences.get(path.removeprefix("/api/v2/silence/"))
        if found is None:
            return 404, ""
        if found["status"]["state"] == "expired":
            return 500, "silence already expired"
        found["status"]["state"] = "expired"
        return 200, ""


@contextmanager
def fake_alertmanager() -> Iterator[FakeAlertmanager]:
    fake = FakeAlertmanager()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self, work: Callable[[], tuple[int, Any]]) -> None:
            fake.asked.append((self.command, self.path))
            fake.headers.append(dict(self.headers.items()))
            status = fake.answer(self.command, self.path)
            code, said = (status, "no") if status is not None else work()
            content = json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._serve(lambda: fake.get(self.path))

        def do_DELETE(self) -> None:
            self._serve(lambda: fake.delete(self.path))

        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._serve(lambda: fake.post(given))

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
