from __future__ import annotations

from apps.alerts.models import Episode, Notification

PAGES: tuple[str, ...] = (
    "/alerts",
    "/alerts?state=all",
    "/alerts?state=resolved&q=nothing-like-it",
    "/alerts?ack=no&severity=critical",
    "/alerts?group=name",
    "/alerts?group=severity&since=24h",
    "/alerts/{alert}",
    "/alerts/{recovering}",
    "/alerts/{frozen}",
    "/alerts/{resolved}",
    "/alerts/{snoozed}",
    "/alerts/{alert}/notifications/{notification}",
)
# The least role that may open it.
DIALOGS: dict[str, str] = {
    "/alerts/acknowledge?ids={alert}": "operator",
    "/alerts/acknowledge?ids={alert}&ids={recovering}": "operator",
    "/alerts/acknowledge?every_page=1&f_severity=warning": "operator",
    "/alerts/assign?ids={alert}": "operator",
    "/alerts/snooze?ids={alert}": "operator",
    "/alerts/{alert}/note": "operator",
}
POSTS: tuple[str, ...] = (
    "/alerts/acknowledge?ids={alert}",
    "/alerts/assign?ids={alert}",
    "/alerts/snooze?ids={alert}",
    "/alerts/undo/1",
    "/alerts/{alert}/note",
    "/alerts/{alert}/take-back",
    "/alerts/{alert}/wake",
)


def ids() -> dict[str, str]:
    """The ids pages are tried with."""
    newest = {episode.name: str(episode.pk) for episode in Episode.objects.order_by("pk")}
    alert = newest["PaymentErrorsHigh"]
    note = Notification.objects.filter(escalation__episode=int(alert)).order_by("pk")[0]
    return {
        "alert": alert,
        "recovering": newest["WhatsappSlow"],
        "frozen": newest["EdgeLatency"],
        "resolved": newest["ReplicaLag"],
        "snoozed": newest["CertExpiresSoon"],
        "notification": str(note.pk),
    }
