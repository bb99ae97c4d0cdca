"""Slack and PagerDuty for tests: one real HTTP server that takes what both would, and keeps what it said yes to."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from apps.services.models import Service
from tests.conftest import make_service

RETRY = {"max_attempts": 50, "base": 0.2, "cap": 1, "jitter": "full"}
# Breakers have their own tests; here they must not hide what is sent.
CALM = {"timeout": 1, "error_threshold_percentage": 100, "volume_threshold": 100_000, "ramp_seconds": 0}
STEP = re.compile(r"step (\d+) of")


@dataclass(frozen=True, slots=True)
class Said:
    """One message that arrived: ``about`` is its headline, ``step`` counts from 1 and is 0 where it names none."""

    service: str
    about: str
    step: int
    document: dict[str, Any]


@dataclass
class Desk:
    """``script`` sees each request before it is answered, and may wait; False makes it a 503."""

    script: Callable[[str], bool] = lambda service: True
    heard: list[Said] = field(default_factory=list)
    began: int = 0

    def __enter__(self) -> Desk:
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                service = "slack" if "chat.postMessage" in self.path else "pagerduty"
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                desk.began += 1
                try:
                    desk._answer(self, service, document)
                except OSError:  # whoever asked was killed meanwhile
                    return

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler, service: str, document: dict[str, Any]) -> None:
        good = self.script(service)
        content = json.dumps({"ok": good, "ts": f"17000.{self.began:06d}", "status": "success"}).encode()
        request.send_response((200 if service == "slack" else 202) if good else 503)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)
        request.wfile.flush()
        if good:
            self.heard.append(_said(service, document))

    def services(self) -> list[Service]:
        """The two services of the portal that reach this desk."""
        url = f"http://127.0.0.1:{self.port}"
        rules = {"retry": RETRY, "breaker": CALM, "secret": "secret", "probe": {"kind": "none"}}
        slack = {"mode": "api", "base_url": url, "channel": "#alerts"}
        return [
            make_service("slack", channel="slack", settings=slack, **rules),
            make_service("pagerduty", channel="pagerduty", settings={"base_url": url}, **rules),
        ]

    def steps(self) -> list[tuple[str, str, int]]:
        """(headline, service, step) of every page that arrived, in order of arrival."""
        return [(said.about, said.service, said.step) for said in self.heard if said.step]


def _said(service: str, document: dict[str, Any]) -> Said:
    text = document.get("text", "") if service == "slack" else document.get("payload", {}).get("custom_details", {})
    if isinstance(text, dict):
        text = text.get("text", "")
    step = STEP.search(text)
    return Said(service, text.partition("\n")[0], int(step[1]) if step else 0, document)
