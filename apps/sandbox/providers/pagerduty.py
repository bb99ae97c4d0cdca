"""PagerDuty's Events API v2: ``POST /v2/enqueue`` (developer.pagerduty.com, "Events API v2")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from apps.sandbox.providers.base import Answer, Incoming, body_excerpt, header_key

PATH: Final = "/v2/enqueue"
ACTIONS: Final = ("trigger", "acknowledge", "resolve")
SEVERITIES: Final = ("critical", "error", "warning", "info")


class Pagerduty:
    name = "pagerduty"
    title = "Pages, the way PagerDuty's Events API takes them"
    endpoint = f"POST {PATH}"
    reject_status = 400

    def takes(self, incoming: Incoming) -> bool:
        return incoming.method == "POST" and incoming.path == PATH

    def key(self, incoming: Incoming) -> str:
        """The incident it is about and what is done to it, unless the sender names its message."""
        event = incoming.object()
        return header_key(incoming) or f"{event.get('dedup_key', '')}:{event.get('event_action', '')}"

    def excerpt(self, incoming: Incoming) -> str:
        event = incoming.object()
        if not event.get("event_action"):
            return body_excerpt(incoming)
        payload = event.get("payload")
        words = payload.get("summary", "") if isinstance(payload, dict) else ""
        return f"{event['event_action']} {event.get('dedup_key', '')} {str(words)[:900]}".rstrip()

    def signature(self, incoming: Incoming) -> str:
        return ""

    def answer(self, incoming: Incoming) -> Answer:
        event = incoming.object()
        problems = list(_problems(event))
        if problems:
            return self._invalid(problems)
        body = {"status": "success", "message": "Event processed", "dedup_key": event.get("dedup_key", "")}
        return Answer(202, body)

    def refuse(self, incoming: Incoming, status: int, text: str, code: str) -> Answer:
        if code == "reject":
            return Answer(status, self._invalid(["routing_key is not one of this account"]).body, text)
        return Answer(status, {"status": "throttle" if status == 429 else "error", "message": text}, text)

    def _invalid(self, problems: list[str]) -> Answer:
        body = {"status": "invalid event", "message": "Event object is invalid", "errors": problems}
        return Answer(400, body, ", ".join(problems))


def _problems(event: dict[str, Any]) -> Iterator[str]:
    if not event.get("routing_key"):
        yield "routing_key is required"
    if event.get("event_action") not in ACTIONS:
        yield f"event_action must be one of {', '.join(ACTIONS)}"
    if event.get("event_action") == "trigger":
        payload = event.get("payload")
        given = payload if isinstance(payload, dict) else {}
        yield from (f"payload.{name} is required" for name in ("summary", "source") if not given.get(name))
        if given.get("severity") not in SEVERITIES:
            yield f"payload.severity must be one of {', '.join(SEVERITIES)}"
    elif not event.get("dedup_key"):
        yield "dedup_key is required to acknowledge or resolve"
