from __future__ import annotations

from apps.core.actor import ALERTS_READ, ALERTS_WORK
from tests.security.rules import Rule, button, dialog, look

PAGES: dict[str, Rule] = {
    "alerts": look(ALERTS_READ),
    "alert": look(ALERTS_READ),
    "alert-notification": look(ALERTS_READ),
    "alerts-acknowledge": dialog(ALERTS_WORK, "ids={episode_id}", ids="{episode_id}"),
    "alerts-assign": dialog(ALERTS_WORK, "ids={episode_id}", ids="{episode_id}", to="-"),
    "alerts-snooze": dialog(ALERTS_WORK, "ids={episode_id}", ids="{episode_id}", snooze="1"),
    "alerts-undo": button(ALERTS_WORK),
    "alert-take-back": button(ALERTS_WORK),
    "alert-note": dialog(ALERTS_WORK, text="seen"),
    "alert-wake": button(ALERTS_WORK),
}
OPERATIONS: dict[str, str] = {}
# A body is read before the scope is looked at, so it must be one that is understood.
BODIES: dict[str, object] = {}
