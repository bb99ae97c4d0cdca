from __future__ import annotations

from typing import Final

from scripts.pictures.shot import Shot

SHOTS: Final[tuple[Shot, ...]] = (
    Shot("alerts", "/alerts"),
    Shot("alerts-grouped", "/alerts?group=service"),
    Shot("alerts-selected", "/alerts?state=firing", press="tbody input[type=checkbox] >> nth=1", full=False),
    Shot("alert", "/alerts/{alert}"),
    Shot("alert-recovering", "/alerts/{recovering}"),
    Shot("alert-frozen", "/alerts/{frozen}"),
    Shot("alert-resolved", "/alerts/{ended}"),
    Shot("alert-hostile", "/alerts/{hostile}"),
    Shot("alert-acknowledge", "/alerts/{alert}", press="a[href*='/alerts/acknowledge']"),
    Shot("alert-snooze", "/alerts/{alert}", press="a[href*='/alerts/snooze']"),
    Shot("alert-explained", "/alerts/{alert}/notifications/{notification}"),
)
# Prints "name id" for what the addresses above need.
PICK: Final = """
from apps.alerts.models import Episode, Notification
newest = {episode.name: episode.pk for episode in Episode.objects.order_by("pk")}
alert = newest["PaymentErrorsHigh"]
print("alert", alert)
print("recovering", newest["WhatsappSlow"])
print("frozen", newest["EdgeLatency"])
print("ended", newest["ReplicaLag"])
print("hostile", newest["<script>alert(1)</script>"])
print("notification", Notification.objects.filter(escalation__episode=alert).values_list("pk", flat=True).first())
"""
