"""Every state with its tone and its word, in one place, so that it looks the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Mark:
    """``tone`` is good, warning, bad, unknown, info or empty (neutral); ``locked`` shows an operator's lock.

    ``label`` is translated when it is shown.
    """

    tone: str
    label: Any
    locked: bool = False


UNKNOWN: Final = Mark("unknown", _("UNKNOWN"))

BREAKER: Final[Mapping[str, Mark]] = {
    "CLOSED": Mark("good", _("CLOSED")),
    "OPEN": Mark("bad", _("OPEN")),
    "HALF_OPEN": Mark("warning", _("HALF-OPEN")),
    "FORCED_OPEN": Mark("bad", _("FORCED OPEN"), locked=True),
    "FORCED_CLOSED": Mark("warning", _("FORCED CLOSED"), locked=True),
    "METRICS_ONLY": Mark("unknown", _("METRICS ONLY"), locked=True),
}
PAUSED: Final = Mark("unknown", _("PAUSED"), locked=True)

MESSAGE: Final[Mapping[str, Mark]] = {
    "PENDING": Mark("", _("Waiting")),
    "RETRYING": Mark("warning", _("Retrying")),
    "SENDING": Mark("info", _("Sending")),
    "SENT": Mark("good", _("Sent")),
    "DLQ": Mark("bad", _("Dead letter")),
    "CANCELLED": Mark("unknown", _("Cancelled")),
    "EXPIRED": Mark("unknown", _("Expired")),
}

ATTEMPT: Final[Mapping[str, Mark]] = {
    "sent": Mark("good", _("Sent")),
    "failed": Mark("bad", _("Failed")),
    "timed_out": Mark("bad", _("Timed out")),
    "ambiguous": Mark("warning", _("Unclear: it may have arrived")),
    "slowed": Mark("warning", _("Asked to slow down")),
    "lost": Mark("unknown", _("Worker lost")),
    "stale": Mark("unknown", _("Reported too late")),
}

LETTER: Final[Mapping[str, Mark]] = {
    "open": Mark("bad", _("Open")),
    "replayed": Mark("good", _("Replayed")),
    "discarded": Mark("unknown", _("Discarded")),
}

REPLAY: Final[Mapping[str, Mark]] = {
    "preparing": Mark("info", _("PREPARING")),
    "canary": Mark("warning", _("CANARY")),
    "running": Mark("info", _("RUNNING")),
    "paused": Mark("unknown", _("PAUSED")),
    "stopped": Mark("bad", _("STOPPED")),
    "done": Mark("good", _("DONE")),
    "cancelled": Mark("unknown", _("CANCELLED")),
}

ITEM: Final[Mapping[str, Mark]] = {
    "waiting": Mark("", _("Waiting")),
    "released": Mark("info", _("On its way")),
    "sent": Mark("good", _("Sent")),
    "failed": Mark("bad", _("Failed again")),
    "skipped": Mark("unknown", _("Left out")),
}

INCIDENT: Final[Mapping[str, Mark]] = {
    "investigating": Mark("bad", _("INVESTIGATING")),
    "identified": Mark("warning", _("CAUSE IDENTIFIED")),
    "monitoring": Mark("info", _("MENDED, WATCHING")),
    "resolved": Mark("good", _("RESOLVED")),
    "merged": Mark("unknown", _("MERGED")),
}
INCIDENT_SEVERITY: Final[Mapping[str, Mark]] = {
    "sev1": Mark("bad", "SEV1"),
    "sev2": Mark("warning", "SEV2"),
    "sev3": Mark("info", "SEV3"),
    "sev4": Mark("", "SEV4"),
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
