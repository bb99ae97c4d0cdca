"""PagerDuty: trigger, acknowledge and resolve through the Events API v2.

An incident is known by its dedup_key. By default it is the message's idempotency key, so a message
that is sent twice pages once; an alert that will be resolved later brings its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from yarl import URL

from apps.channels.api import ApiChannel, Call, answer_object, body_object, body_text
from apps.channels.base import Envelope, NetworkPolicy, Receipt
from apps.channels.headers import refused
from apps.channels.kinds.pagerduty.settings import PagerdutySettings
from apps.channels.network import Lookup, system_lookup
from apps.channels.wire import Answer

ACTIONS: Final = ("trigger", "acknowledge", "resolve")
_PAYLOAD: Final = ("summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details")
_EVENT: Final = ("links", "images", "client", "client_url")
_SUMMARY_CHARS: Final = 1024
_KEY_CHARS: Final = 255


class PagerdutyChannel(ApiChannel):
    def __init__(
        self,
        settings: PagerdutySettings,
        secrets: Sequence[str],
        *,
        timeout: float,
        max_in_flight: int,
        network: NetworkPolicy,
        lookup: Lookup = system_lookup,
    ) -> None:
        super().__init__(
            secrets=secrets,
            setting="settings.base_url",
            timeout=timeout,
            max_in_flight=max_in_flight,
            network=network,
            lookup=lookup,
        )
        self._url = URL(settings.base_url) / "v2" / "enqueue"
        self._defaults = {"source": settings.source, "severity": settings.severity}
        self._client = {"client": settings.client, "client_url": settings.client_url}

    def compose(self, envelope: Envelope) -> Call:
        given = body_object(envelope) or {}
        action = given.get("event_action", "trigger")
        if action not in ACTIONS:
            raise refused("json.event_action", f"must be one of {', '.join(ACTIONS)}")
        event: dict[str, Any] = {"routing_key": self._secret, "event_action": action}
        event["dedup_key"] = self._key(envelope, given)
        if action == "trigger":
            event |= {name: value for name, value in self._client.items() if value}
            event |= {name: given[name] for name in _EVENT if name in given}
            event["payload"] = self._payload(envelope, given)
        return Call(self._url, event, {})

    def _key(self, envelope: Envelope, given: dict[str, Any]) -> str:
        key = str(given.get("dedup_key") or envelope.idempotency_key or envelope.wire_id)
        if len(key) > _KEY_CHARS:
            raise refused("json.dedup_key", f"is longer than {_KEY_CHARS} characters")
        return key

    def _payload(self, envelope: Envelope, given: dict[str, Any]) -> dict[str, Any]:
        inner = given.get("payload")
        brought = dict(inner) if isinstance(inner, dict) else {name: given[name] for name in _PAYLOAD if name in given}
        text = given.get("text") if given else body_text(envelope)
        if isinstance(text, str) and text:
            brought.setdefault("custom_details", {"body": text})
        summary = str(brought.get("summary") or envelope.subject or _first_line(text))
        if not summary:
            raise refused("subject", "is empty: PagerDuty needs a summary, as subject, text or json.summary")
        return self._defaults | brought | {"summary": summary[:_SUMMARY_CHARS]}

    def judge(self, answer: Answer, envelope: Envelope) -> Receipt:
        """202 is yes. 400 names what is wrong with the event, 429 asks to slow down."""
        if not answer.is_success:
            raise self.by_status(answer)
        return self.receipt(answer, (answer_object(answer) or {}).get("dedup_key"))


def _first_line(text: Any) -> str:
    return text.strip().partition("\n")[0] if isinstance(text, str) else ""
