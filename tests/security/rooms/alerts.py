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
OPERATIONS: dict[str, str] = {
    "GET /api/v1/alerts": ALERTS_READ,
    "GET /api/v1/alerts/{alert_id}": ALERTS_READ,
    "POST /api/v1/alerts/{alert_id}/acknowledge": ALERTS_WORK,
    "POST /api/v1/alerts/{alert_id}/take-back": ALERTS_WORK,
    "POST /api/v1/alerts/{alert_id}/assign": ALERTS_WORK,
    "POST /api/v1/alerts/{alert_id}/note": ALERTS_WORK,
    "POST /api/v1/alerts/{alert_id}/snooze": ALERTS_WORK,
}
# A body is read before the scope is looked at, so it must be one that is understood.
BODIES: dict[str, object] = {
    "POST /api/v1/alerts/{alert_id}/assign": {"assignee": "ana@example.com"},
    "POST /api/v1/alerts/{alert_id}/note": {"text": "seen"},
    "POST /api/v1/alerts/{alert_id}/snooze": {"until": "2100-01-01T00:00:00Z"},
}
