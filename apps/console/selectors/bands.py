"""The state of a breaker over time, from its history: pure, for the band under a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

AFTER: Final[Mapping[str, str]] = {
    "opened": "bad",
    "reopened": "bad",
    "closed": "good",
    "reset": "good",
    "forced_open": "bad",
    "forced_closed": "warning",
    "metrics_only": "unknown",
}
BEFORE: Final[Mapping[str, str]] = {
    "opened": "good",
    "reopened": "warning",
    "closed": "warning",
    "reset": "bad",
    "forced_open": "good",
    "forced_closed": "bad",
    "metrics_only": "good",
    "override_ended": "bad",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a breaker. ``detail`` is its frozen evidence."""

    at: datetime
    kind: str
    detail: Mapping[str, Any]

    @property
    def wait_s(self) -> float | None:
        """How long the breaker stayed open before it was tested, where the event says so."""
        found = self.detail.get("wait") or (self.detail.get("rule") or {}).get("reset")
        return float(found) if isinstance(found, int | float) else None

    @property
    def tone(self) -> str | None:
        """The tone from here on; None when the event changed no state."""
        if self.kind == "override_ended":
            # A forced open ends in a test, a forced closed in a closed breaker.
            return "warning" if self.detail.get("override") in (1, "FORCED_OPEN") else "good"
        return AFTER.get(self.kind)


def tones(changes: Sequence[Change], *, start: datetime, end: datetime, current: str) -> list[tuple[datetime, str]]:
    """Changes of tone from ``start`` to ``end``, oldest first; ``current`` is the tone now."""
    known = [change for change in changes if change.tone is not None and change.at <= end]
    if not known:
        return [(start, current)]
    found = [(start, BEFORE.get(known[0].kind, current))]
    for position, change in enumerate(known):
        ends = known[position + 1].at if position + 1 < len(known) else end
        found.append((change.at, change.tone or current))
        tested_at = change.at + timedelta(seconds=change.wait_s) if change.wait_s is not None else None
        if change.kind in ("opened", "reopened") and tested_at is not None and tested_at < ends:
            found.append((tested_at, "warning"))
    return [(max(at, start), tone) for at, tone in found]
