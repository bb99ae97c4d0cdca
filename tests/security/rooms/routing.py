from __future__ import annotations

from apps.core.actor import ALERTS_EDIT, ALERTS_READ, ALERTS_WORK
from tests.security.rules import Rule, dialog, look

PAGES: dict[str, Rule] = {
    "routing": look(ALERTS_READ),
    "routing-edit": dialog(ALERTS_EDIT),
    "routing-versions": look(ALERTS_READ),
    "routing-version": look(ALERTS_READ),
    "routing-restore": dialog(ALERTS_EDIT),
    "on-call": look(ALERTS_READ),
    "rotation": look(ALERTS_READ),
    "rotation-new": dialog(ALERTS_EDIT),
    "rotation-edit": dialog(ALERTS_EDIT),
    "rotation-remove": dialog(ALERTS_EDIT, reason="gone"),
    "rotation-instead": dialog(ALERTS_WORK),
    "rotation-hand-over": dialog(ALERTS_WORK),
    "rotation-override-end": dialog(ALERTS_WORK),
}
OPERATIONS: dict[str, str] = {}
# A body is read before the scope is looked at, so it must be one that is understood.
BODIES: dict[str, object] = {}
