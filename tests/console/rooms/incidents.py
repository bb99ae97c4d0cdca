from __future__ import annotations

from apps.incidents.models import Incident, IncidentThing

PAGES: tuple[str, ...] = (
    "/incidents",
    "/incidents?state=open",
    "/incidents?state=resolved&severity=sev2&service=midtrans",
    "/incidents?q=nothing-like-it",
    "/incidents/{incident}",
    "/incidents/{incident_over}",
    "/incidents/{incident_merged}",
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
    "/incidents/rules/new",
    "/incidents/rules/critical-alert/edit",
    "/incidents/rules/critical-alert/switch",
    "/incidents/rules/critical-alert/delete",
)


def ids() -> dict[str, str]:
    """The ids pages are tried with."""
    newest = {incident.state: str(incident.pk) for incident in Incident.objects.order_by("pk")}
    return {
        "incident": newest["identified"],
        "incident_over": newest["resolved"],
        "incident_merged": newest["merged"],
        "thing": str(IncidentThing.objects.filter(incident=newest["identified"]).values_list("pk", flat=True)[0]),
    }
