from __future__ import annotations

from apps.core.actor import INCIDENTS_READ, INCIDENTS_WORK, POSTMORTEMS_PUBLISH
from tests.security.rules import Rule, button, dialog, look

PAGES: dict[str, Rule] = {
    "postmortems": look(INCIDENTS_READ),
    "postmortem-new": dialog(INCIDENTS_WORK),
    "postmortem": look(INCIDENTS_READ),
    "postmortem-edit": dialog(INCIDENTS_WORK),
    "postmortem-preview": button(INCIDENTS_WORK),
    "postmortem-versions": look(INCIDENTS_READ),
    "postmortem-restore": dialog(INCIDENTS_WORK),
    "postmortem-review": dialog(INCIDENTS_WORK),
    "postmortem-withdraw": dialog(INCIDENTS_WORK),
    "postmortem-publish": dialog(POSTMORTEMS_PUBLISH),
    "postmortem-reopen": dialog(POSTMORTEMS_PUBLISH),
    "postmortem-accept": dialog(INCIDENTS_WORK),
    "postmortem-dismiss": dialog(INCIDENTS_WORK),
    "postmortem-export": look(INCIDENTS_READ),
    "postmortem-push": dialog(INCIDENTS_WORK),
    "action-items": look(INCIDENTS_READ),
    "action-item": look(INCIDENTS_READ),
    "action-item-new": dialog(INCIDENTS_WORK),
    "action-item-edit": dialog(INCIDENTS_WORK),
    "action-item-drop": dialog(INCIDENTS_WORK),
    "action-item-done": button(INCIDENTS_WORK),
    "action-item-reopen": button(INCIDENTS_WORK),
}
OPERATIONS: dict[str, str] = {}
# A body is read before the scope is looked at, so it must be one that is understood.
BODIES: dict[str, object] = {}
