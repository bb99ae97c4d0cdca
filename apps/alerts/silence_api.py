"""Silences in Alertmanager's API v2. No database here, and no transaction may be open around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import requests

from apps.alerts.times import parse_time

TIMEOUT_S: Final = 5.0
AGENT: Final = "opsportal-silencer"
EXPIRED: Final = "expired"


class Away(Exception):
    """Alertmanager did not answer, or not now; trying again may help. The text says what."""


class Refused(Exception):
    """Alertmanager will not take this; trying again does not help. The text is what it said."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A silence as Alertmanager knows it."""

    silence_id: str
    state: str
    ends_at: datetime | None
    comment: str


@dataclass(frozen=True, slots=True)
class Api:
    """One Alertmanager. Any peer of a pair will do: silences are gossiped."""

    base: str
    secret: str = ""

    def create(self, silence: Mapping[str, Any]) -> str:
        """Make it, or change the one whose ``id`` is given. Returns the id it has from now on."""
        answer = self._ask("POST", "/api/v2/silences", json=silence)
        if answer.status_code != 200:
            raise self._problem(answer)
        found = _object(answer).get("silenceID")
        if not isinstance(found, str) or not found:
            raise Away(f"{self.base} made a silence and did not say which")
        return found

    def get(self, silence_id: str) -> Remote | None:
        """None for one that Alertmanager does not know (any more)."""
        answer = self._ask("GET", f"/api/v2/silence/{silence_id}")
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise self._problem(answer)
        return _remote(_object(answer))

    def find(self, mark: str) -> Remote | None:
        """The one that is not over and whose comment ends with ``mark``."""
        answer = self._ask("GET", "/api/v2/silences")
        if answer.status_code != 200:
            raise self._problem(answer)
        given = _json(answer)
        known = [_remote(one) for one in given if isinstance(one, dict)] if isinstance(given, list) else []
        return next((one for one in known if one.state != EXPIRED and one.comment.endswith(mark)), None)

    def expire(self, silence_id: str) -> None:
        """End it. One that is over already, or unknown, is as it should be."""
        answer = self._ask("DELETE", f"/api/v2/silence/{silence_id}")
        if answer.status_code in (200, 404):
            return
        # Alertmanager says 500 of one that is over; only asking tells that from trouble.
        known = self.get(silence_id)
        if known is not None and known.state != EXPIRED:
            raise self._problem(answer)

    def _ask(self, method: str, path: str, json: Any = None) -> requests.Response:
        headers = {"User-Agent": AGENT}
        if self.secret:
            headers["Authorization"] = f"Bearer {self.secret}"
        try:
            return requests.request(
                method,
                self.base.rstrip("/") + path,
                json=json,
                headers=headers,
                timeout=TIMEOUT_S,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise Away(f"{self.base} cannot be reached: {error}") from error

    def _problem(self, answer: requests.Response) -> Exception:
        text = f"{self.base} answered {answer.status_code}: {answer.text[:300].strip()}"
        return Refused(text) if answer.status_code in (400, 422) else Away(text)


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise Away(f"{answer.url} did not answer with JSON") from error


def _object(answer: requests.Response) -> dict[str, Any]:
    found = _json(answer)
    if not isinstance(found, dict):
        raise Away(f"{answer.url} did not answer with an object")
    return found


def _remote(given: Mapping[str, Any]) -> Remote:
    status = given.get("status")
    state = status.get("state") if isinstance(status, dict) else ""
    return Remote(
        str(given.get("id") or ""), str(state or ""), parse_time(given.get("endsAt")), str(given.get("comment") or "")
    )
