from __future__ import annotations

from apps.core.actor import ALERTS_READ, ALERTS_WORK
from tests.security.rules import Rule, dialog, look

PAGES: dict[str, Rule] = {
    "quiet": look(ALERTS_READ),
    "silence-new": dialog(ALERTS_WORK, "alert={episode_id}", alert="{episode_id}", reason="known", lasts="1h"),
    "silence-extend": dialog(ALERTS_WORK, lasts="4h"),
    "silence-end": dialog(ALERTS_WORK),
    "maintenance": look(ALERTS_READ),
    "maintenance-new": dialog(ALERTS_WORK, match="service = midtrans", reason="new cable", lasts="1h"),
    "maintenance-change": dialog(ALERTS_WORK, match="service = midtrans", reason="longer", lasts="4h"),
    "maintenance-end": dialog(ALERTS_WORK, reason="done"),
}
OPERATIONS: dict[str, str] = {}
# A body is read before the scope is looked at, so it must be one that is understood.
BODIES: dict[str, object] = {}
