"""Every state with its tone and its word, in one place, so that it looks the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Mark:
    """``tone`` is good, warning, bad, unknown, info or empty (neutral); ``locked`` shows an operator's lock."""

    tone: str
    label: str
    locked: bool = False


UNKNOWN: Final = Mark("unknown", "UNKNOWN")

BREAKER: Final[Mapping[str, Mark]] = {
    "CLOSED": Mark("good", "CLOSED"),
    "OPEN": Mark("bad", "OPEN"),
    "HALF_OPEN": Mark("warning", "HALF-OPEN"),
    "FORCED_OPEN": Mark("bad", "FORCED OPEN", locked=True),
    "FORCED_CLOSED": Mark("warning", "FORCED CLOSED", locked=True),
    "METRICS_ONLY": Mark("unknown", "METRICS ONLY", locked=True),
}
PAUSED: Final = Mark("unknown", "PAUSED", locked=True)

MESSAGE: Final[Mapping[str, Mark]] = {
    "PENDING": Mark("", "Waiting"),
    "RETRYING": Mark("warning", "Retrying"),
    "SENDING": Mark("info", "Sending"),
    "SENT": Mark("good", "Sent"),
    "DLQ": Mark("bad", "Dead letter"),
    "CANCELLED": Mark("unknown", "Cancelled"),
    "EXPIRED": Mark("unknown", "Expired"),
}

ATTEMPT: Final[Mapping[str, Mark]] = {
    "sent": Mark("good", "Sent"),
    "failed": Mark("bad", "Failed"),
    "timed_out": Mark("bad", "Timed out"),
    "ambiguous": Mark("warning", "Unclear: it may have arrived"),
    "slowed": Mark("warning", "Asked to slow down"),
    "lost": Mark("unknown", "Worker lost"),
    "stale": Mark("unknown", "Reported too late"),
}

LETTER: Final[Mapping[str, Mark]] = {
    "open": Mark("bad", "Open"),
    "replayed": Mark("good", "Replayed"),
    "discarded": Mark("unknown", "Discarded"),
}

REPLAY: Final[Mapping[str, Mark]] = {
    "canary": Mark("warning", "CANARY"),
    "running": Mark("info", "RUNNING"),
    "paused": Mark("unknown", "PAUSED"),
    "stopped": Mark("bad", "STOPPED"),
    "done": Mark("good", "DONE"),
    "cancelled": Mark("unknown", "CANCELLED"),
}

ITEM: Final[Mapping[str, Mark]] = {
    "waiting": Mark("", "Waiting"),
    "released": Mark("info", "On its way"),
    "sent": Mark("good", "Sent"),
    "failed": Mark("bad", "Failed again"),
    "skipped": Mark("unknown", "Left out"),
}

EVENT_TONE: Final[Mapping[str, str]] = {
    "opened": "bad",
    "reopened": "bad",
    "closed": "good",
    "forced_open": "bad",
    "forced_closed": "warning",
    "metrics_only": "unknown",
    "override_ended": "info",
    "reset": "good",
    "test_asked": "info",
    "configured": "",
    "locally_opened": "warning",
    "locally_closed": "good",
}


def breaker_mark(state: str) -> Mark:
    """The mark of a breaker's state; an unknown one is shown as such rather than as good."""
    return BREAKER.get(state, UNKNOWN)
