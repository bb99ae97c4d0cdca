from __future__ import annotations

from apps.core.actor import INCIDENTS_EDIT, INCIDENTS_READ, INCIDENTS_WORK
from tests.security.rules import Rule, button, dialog, look

PAGES: dict[str, Rule] = {
    "incidents": look(INCIDENTS_READ),
    "incident": look(INCIDENTS_READ),
    "incident-new": dialog(INCIDENTS_WORK),
    "incident-update": dialog(INCIDENTS_WORK, text="x", state="monitoring"),
    "incident-resolve": dialog(INCIDENTS_WORK),
    "incident-reopen": dialog(INCIDENTS_WORK, reason="x"),
    "incident-severity": dialog(INCIDENTS_WORK, severity="sev4"),
    "incident-correct": dialog(INCIDENTS_WORK),
    "incident-merge": dialog(INCIDENTS_WORK),
    "incident-role": dialog(INCIDENTS_WORK, person="-"),
    "incident-role-take": button(INCIDENTS_WORK),
    "incident-alerts": dialog(INCIDENTS_WORK),
    "incident-alert-remove": button(INCIDENTS_WORK),
    "incident-thing": dialog(INCIDENTS_WORK),
    "incident-thing-remove": button(INCIDENTS_WORK),
    "incident-timeline": look(INCIDENTS_READ),
    "incident-line-add": dialog(INCIDENTS_WORK, text="x"),
    "incident-line-edit": dialog(INCIDENTS_WORK, text="x"),
    "incident-line-delete": dialog(INCIDENTS_WORK),
    "incident-line-pin": button(INCIDENTS_WORK),
    "incident-line-unpin": button(INCIDENTS_WORK),
    "incident-line-hide": button(INCIDENTS_WORK),
    "incident-line-show": button(INCIDENTS_WORK),
    "incident-suspects": look(INCIDENTS_READ),
    "incident-culprit": dialog(
        INCIDENTS_WORK, "kind={suspect_kind}&ref={suspect_ref}", kind="{suspect_kind}", ref="{suspect_ref}"
    ),
    "incident-culprit-take-back": button(INCIDENTS_WORK),
    "incident-rules": look(INCIDENTS_READ),
    "incident-rule": look(INCIDENTS_READ),
    "incident-rule-new": dialog(INCIDENTS_EDIT),
    "incident-rule-edit": dialog(INCIDENTS_EDIT),
    "incident-rule-switch": button(INCIDENTS_EDIT, on="0"),
    "incident-rule-delete": dialog(INCIDENTS_EDIT),
}
OPERATIONS: dict[str, str] = {
    "GET /api/v1/incidents": INCIDENTS_READ,
    "POST /api/v1/incidents": INCIDENTS_WORK,
    "GET /api/v1/incidents/{incident_id}": INCIDENTS_READ,
    "POST /api/v1/incidents/{incident_id}/updates": INCIDENTS_WORK,
    "POST /api/v1/incidents/{incident_id}/resolve": INCIDENTS_WORK,
}
# A body is read before the scope is looked at, so it must be one that is understood.
BODIES: dict[str, object] = {
    "POST /api/v1/incidents": {"title": "Customers cannot pay", "severity": "sev2"},
    "POST /api/v1/incidents/{incident_id}/updates": {"text": "x"},
    "POST /api/v1/incidents/{incident_id}/resolve": {},
}
