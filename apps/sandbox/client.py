"""Talks to a running sandbox, for the command line."""

from __future__ import annotations

from typing import Any, Final

import requests

from apps.core.errors import NotFound, PortalError, Unavailable

TIMEOUT_S: Final = (1.0, 10.0)


class Refused(PortalError):
    code = "refused"
    status = 422


class SandboxClient:
    """Raises :class:`Unavailable` when no sandbox answers on ``port``, else the sandbox's own words."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def status(self) -> dict[str, Any]:
        return self._ask("GET", "/api/status")

    def start(self, provider: str, mode: str, **options: float | None) -> dict[str, Any]:
        return self._ask("POST", "/api/outages", {"provider": provider, "mode": mode, **options})

    def end(self, provider: str, mode: str | None = None) -> dict[str, Any]:
        return self._ask("POST", "/api/outages/end", {"provider": provider, "mode": mode})

    def script(self, on: bool) -> dict[str, Any]:
        return self._ask("POST", "/api/script", {"on": on})

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = requests.request(method, self.url + path, json=body, timeout=TIMEOUT_S)
            found = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise Unavailable(
                f"No sandbox answers at {self.url}/. Start it with `make run`, or `manage.py sandbox run`; "
                "another port is set with SANDBOX_PORT or --port."
            ) from error
        if answer.ok and isinstance(found, dict):
            return found
        raise (NotFound if answer.status_code == 404 else Refused)(_message(found) or answer.reason)


def _message(found: Any) -> str:
    error = found.get("error") if isinstance(found, dict) else None
    return str(error.get("message", "")) if isinstance(error, dict) else ""
