from __future__ import annotations

from apps.core.db import database_now
from apps.incidents.models import Incident, IncidentThing
from apps.incidents.suspects import rank

PAGES: tuple[str, ...] = (
    "/incidents",
    "/incidents?state=open",
    "/incidents?state=resolved&severity=sev2&service=midtrans",
    "/incidents?q=nothing-like-it",
    "/incidents/{incident}",
    "/incidents/{incident_over}",
    "/incidents/{incident_merged}",
    "/incidents/{incident}/timeline",
    "/incidents/{incident}/timeline?source=breakers&hidden=1&order=oldest",
    "/incidents/{incident}/timeline?only=pinned",
    "/incidents/{incident_over}/timeline",
    "/incidents/{incident_merged}/timeline",
    "/incidents/{incident}/suspects",
    "/incidents/rules",
    "/incidents/rules/critical-alert",
)
# The least role that may open it.
DIALOGS: dict[str, str] = {
    "/incidents/new": "operator",
    "/incidents/{incident}/update": "operator",
    "/incidents/{incident}/update?state=monitoring": "operator",
    "/incidents/{incident}/resolve": "operator",
    "/incidents/{incident_over}/reopen": "operator",
    "/incidents/{incident}/severity": "operator",
    "/incidents/{incident}/correct": "operator",
    "/incidents/{incident}/merge": "operator",
    "/incidents/{incident}/roles/scribe": "operator",
    "/incidents/{incident}/alerts": "operator",
    "/incidents/{incident}/things/service": "operator",
    "/incidents/{incident}/things/deployment": "operator",
    "/incidents/{incident}/timeline/add": "operator",
    "/incidents/{incident}/culprit?kind={suspect_kind}&ref={suspect_ref}": "operator",
    "/incidents/rules/new": "lead",
    "/incidents/rules/critical-alert/edit": "lead",
    "/incidents/rules/critical-alert/delete": "lead",
}
POSTS: tuple[str, ...] = (
    "/incidents/new",
    "/incidents/{incident}/update",
    "/incidents/{incident}/resolve",
    "/incidents/{incident_over}/reopen",
    "/incidents/{incident}/severity",
    "/incidents/{incident}/correct",
    "/incidents/{incident}/merge",
    "/incidents/{incident}/roles/scribe",
    "/incidents/{incident}/roles/scribe/take",
    "/incidents/{incident}/alerts",
    "/incidents/{incident}/alerts/1/remove",
    "/incidents/{incident}/things/service",
    "/incidents/{incident}/things/1/remove",
    "/incidents/{incident}/timeline/add",
    "/incidents/{incident}/timeline/{line}/edit",
    "/incidents/{incident}/timeline/{line}/delete",
    "/incidents/{incident}/timeline/{line}/pin",
    "/incidents/{incident}/timeline/{line}/unpin",
    "/incidents/{incident}/timeline/{line}/hide",
    "/incidents/{incident}/timeline/{line}/show",
    "/incidents/{incident}/culprit",
    "/incidents/{incident}/culprit/take-back",
    "/incidents/rules/new",
    "/incidents/rules/critical-alert/edit",
    "/incidents/rules/critical-alert/switch",
    "/incidents/rules/critical-alert/delete",
)


def ids() -> dict[str, str]:
    """The ids pages are tried with."""
    newest = {incident.state: str(incident.pk) for incident in Incident.objects.order_by("pk")}
    running = Incident.objects.get(pk=newest["identified"])
    suspect = rank(running, database_now())[0].candidate
    return {
        "incident": newest["identified"],
        "incident_over": newest["resolved"],
        "incident_merged": newest["merged"],
        "line": str(running.timeline.filter(source="hand").values_list("pk", flat=True)[0]),
        "suspect_kind": suspect.kind,
        "suspect_ref": suspect.ref,
        "thing": str(IncidentThing.objects.filter(incident=newest["identified"]).values_list("pk", flat=True)[0]),
    }
