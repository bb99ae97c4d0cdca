from __future__ import annotations

from typing import Final

from scripts.pictures.shot import Shot

SHOTS: Final[tuple[Shot, ...]] = (
    Shot("incidents", "/incidents"),
    Shot("incident", "/incidents/{incident}"),
    Shot("incident-over", "/incidents/{incident_over}"),
    Shot("incident-merged", "/incidents/{incident_merged}"),
    Shot("incident-new", "/incidents", press="a[href$='/incidents/new']"),
    Shot("incident-update", "/incidents/{incident}", press="a[href$='/update'] >> nth=0"),
    Shot("incident-resolve", "/incidents/{incident}", press="a[href$='/resolve'] >> nth=0"),
    Shot("incident-role", "/incidents/{incident}", press="a[href$='/roles/scribe']"),
    Shot("incident-alerts", "/incidents/{incident}", press="#alerts ~ a[href$='/alerts']"),
    Shot("incident-timeline", "/incidents/{incident}/timeline"),
    Shot("incident-line-add", "/incidents/{incident}/timeline", press="a[href$='/timeline/add']"),
    Shot("incident-suspects", "/incidents/{incident}/suspects"),
    Shot("incident-culprit", "/incidents/{incident}/suspects", press=".suspects a.button >> nth=0"),
    Shot("incident-rules", "/incidents/rules"),
    Shot("incident-rule", "/incidents/rules/critical-alert"),
    Shot("incident-rule-new", "/incidents/rules", press="a[href$='/rules/new']"),
)
# Prints "name id" for what the addresses above need.
PICK: Final = """
from apps.incidents.models import Incident
newest = {incident.state: incident.pk for incident in Incident.objects.order_by("pk")}
print("incident", newest["identified"])
print("incident_over", newest["resolved"])
print("incident_merged", newest["merged"])
"""
