from __future__ import annotations

from apps.alerts.models import Maintenance, Silence

PAGES: tuple[str, ...] = (
    "/alerts/quiet",
    "/alerts/quiet/maintenance/{window}",
    "/alerts/quiet/maintenance/{coming}",
    "/alerts/quiet/maintenance/{past}",
)
# The least role that may open it.
DIALOGS: dict[str, str] = {
    "/alerts/quiet/silences/new": "operator",
    "/alerts/quiet/silences/{silence}/extend": "operator",
    "/alerts/quiet/silences/{silence}/end": "operator",
    "/alerts/quiet/maintenance/new": "operator",
    "/alerts/quiet/maintenance/new?service=midtrans": "operator",
    "/alerts/quiet/maintenance/{window}/change": "operator",
    "/alerts/quiet/maintenance/{window}/end": "operator",
}
POSTS: tuple[str, ...] = (
    "/alerts/quiet/silences/new",
    "/alerts/quiet/silences/{silence}/extend",
    "/alerts/quiet/silences/{silence}/end",
    "/alerts/quiet/maintenance/new",
    "/alerts/quiet/maintenance/{window}/change",
    "/alerts/quiet/maintenance/{window}/end",
)


def ids() -> dict[str, str]:
    """The ids pages are tried with."""
    windows = list(Maintenance.objects.order_by("pk").values_list("pk", flat=True))
    silence = Silence.objects.filter(state="active").order_by("pk").values_list("pk", flat=True)[0]
    return {"window": str(windows[0]), "coming": str(windows[1]), "past": str(windows[2]), "silence": str(silence)}
