from __future__ import annotations

from apps.core.actor import ALERTS_EDIT, ALERTS_READ, ALERTS_WORK, MESSAGES_REVEAL
from tests.security.rules import Rule, button, dialog, look

PAGES: dict[str, Rule] = {
    "sources": look(ALERTS_READ),
    "source": look(ALERTS_READ),
    "source-new": dialog(ALERTS_EDIT),
    "source-settings": dialog(ALERTS_EDIT),
    "source-rotate": dialog(ALERTS_EDIT),
    "source-end-previous": dialog(ALERTS_EDIT),
    "source-disable": dialog(ALERTS_EDIT, reason="gone"),
    "source-enable": button(ALERTS_EDIT),
    "refusal-clear": button(ALERTS_EDIT),
    "alert-deliveries": look(ALERTS_READ),
    "alert-delivery": look(ALERTS_READ),
    "alert-delivery-reveal": button(MESSAGES_REVEAL),
    "alert-delivery-download": button(MESSAGES_REVEAL),
    "alert-delivery-retry": button(ALERTS_WORK),
}
OPERATIONS: dict[str, str] = {}
# A body is read before the scope is looked at, so it must be one that is understood.
BODIES: dict[str, object] = {}
