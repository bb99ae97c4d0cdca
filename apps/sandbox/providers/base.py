"""What a provider played over HTTP is: how it answers on a normal day, and how it says no. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from apps.sandbox.outages import Fate, Mode

KEY_HEADERS: Final = ("Idempotency-Key", "webhook-id")


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request as it arrived. ``headers`` finds names in any case of letters. ``at``: seconds since 1970."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    def json(self) -> Any:
        """The body as JSON; None when it is not."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def object(self) -> dict[str, Any]:
        """The body as a JSON object; empty when it is none."""
        found = self.json()
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Answer:
    """``note`` says in words why, for the page; empty when there is nothing to say. ``refused``: a no with a
    status that sounds like a yes, as Slack says it.
    """

    status: int
    body: Mapping[str, Any]
    note: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    refused: bool = False

    @property
    def is_success(self) -> bool:
        return not self.refused and 200 <= self.status < 300


class HttpProvider(Protocol):
    """``endpoint`` is "METHOD /path" for people; ``title`` says what it plays;
    ``reject_status`` is how it refuses for good."""

    name: str
    title: str
    endpoint: str
    reject_status: int

    def takes(self, incoming: Incoming) -> bool:
        """Whether this is the endpoint that is played."""

    def key(self, incoming: Incoming) -> str:
        """What identifies the message over all its attempts."""

    def answer(self, incoming: Incoming) -> Answer:
        """A normal day: accepts what is right and refuses what is wrong."""

    def refuse(self, incoming: Incoming, status: int, text: str, code: str) -> Answer:
        """``status`` in the words and the shape of this provider. ``code`` is what kind of refusal it is."""

    def excerpt(self, incoming: Incoming) -> str:
        """What it is about, in a line for people."""

    def signature(self, incoming: Incoming) -> str:
        """What came of checking the signature; empty when this provider has none."""


def header_key(incoming: Incoming) -> str:
    return next((incoming.headers[name] for name in KEY_HEADERS if incoming.headers.get(name)), "")


def body_excerpt(incoming: Incoming) -> str:
    """The beginning of the body, for one that is not what it should be."""
    return incoming.body[:1024].decode(errors="replace")


def outage_answer(provider: HttpProvider, incoming: Incoming, fate: Fate) -> Answer:
    """What the provider says while an outage hits this request."""
    match fate.mode:
        case Mode.ERRORS:
            status = fate.status or (500 if fate.chance < 0.5 else 503)
            return provider.refuse(incoming, status, "The service is having trouble.", "error")
        case Mode.RATE_LIMIT:
            answer = provider.refuse(incoming, 429, "Too many requests.", "rate_limit")
            seconds = str(max(1, round(fate.retry_after)))
            return Answer(answer.status, answer.body, f"Retry-After: {seconds} s", {"Retry-After": seconds})
        case Mode.GONE:
            return provider.refuse(incoming, 410, "This endpoint no longer exists.", "gone")
        case _:
            status = fate.status or provider.reject_status
            return provider.refuse(incoming, status, "The request was refused.", "reject")
