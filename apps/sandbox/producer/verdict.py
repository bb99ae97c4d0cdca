"""What an answer of the portal means for the one who posted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

LONGEST_PAUSE_S: Final = 10.0
LONGEST_RETRY_AFTER_S: Final = 120.0
FIRST_PAUSE_S: Final = 0.5


class Kind(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    AGAIN = "again"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``why`` is for people. Counts are of the messages of one job; ``retry_after`` in seconds."""

    kind: Kind
    why: str = ""
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    retry_after: float = 0.0


def judge(status: int, headers: Mapping[str, str], body: Any, size: int) -> Verdict:
    """``size``: how many messages were posted. ``body``: the answer as JSON, or None."""
    if status in (200, 201, 202, 207):
        return _accepted(headers, body, size)
    why = f"HTTP {status}{_words(body)}"
    if status in (401, 403):
        return Verdict(Kind.KEY, why)
    if status in (408, 409, 425, 429) or status >= 500:
        return Verdict(Kind.AGAIN, why, retry_after=_seconds(headers.get("Retry-After", "")))
    return Verdict(Kind.REFUSED, why, refused=size)


def pause(tries: int, retry_after: float, chance: float) -> float:
    """Seconds before try ``tries`` + 1: doubling with jitter, or what the portal asks for when that is longer."""
    own = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(tries, 10)) * (0.5 + chance / 2)
    return max(own, min(retry_after, LONGEST_RETRY_AFTER_S))


def _accepted(headers: Mapping[str, str], body: Any, size: int) -> Verdict:
    items = _items(body)
    if items is None:
        again = headers.get("Idempotency-Replayed", "").lower() == "true"
        return Verdict(Kind.ACCEPTED, accepted=size, duplicates=size if again else 0)
    errors = [item for item in items if isinstance(item, dict) and item.get("error")]
    if any(item["error"].get("code") == "conflict" for item in errors):
        return Verdict(Kind.AGAIN, "an item of the batch is being accepted already")
    duplicates = sum(1 for item in items if isinstance(item, dict) and item.get("duplicate"))
    why = _words(errors[0]).lstrip(": ") if errors else ""
    return Verdict(Kind.ACCEPTED, why, size - len(errors), duplicates, len(errors))


def _items(body: Any) -> list[Any] | None:
    """The answers per item of a batch; None for a single message."""
    if isinstance(body, dict):
        body = next((body[name] for name in ("results", "items", "messages") if name in body), None)
    return body if isinstance(body, list) else None


def _words(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    return f": {str(text)[:200]}" if text else ""


def _seconds(text: str) -> float:
    return float(text) if text.strip().isdecimal() else 0.0
