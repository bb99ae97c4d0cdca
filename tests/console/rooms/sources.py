from __future__ import annotations

from apps.alerts.models import AlertDelivery, Refusal
from apps.console.demo.on_call import NAME

PAGES: tuple[str, ...] = (
    "/alerts/sources",
    f"/alerts/sources/{NAME}",
    "/alerts/deliveries",
    f"/alerts/deliveries?source={NAME}&state=quarantined",
    "/alerts/deliveries?state=partly",
    "/alerts/deliveries?state=stored",
    "/alerts/deliveries/{delivery}",
    "/alerts/deliveries/{put_aside}",
)
# The least role that may open it.
DIALOGS: dict[str, str] = {
    "/alerts/sources/new": "lead",
    f"/alerts/sources/{NAME}/settings": "lead",
    f"/alerts/sources/{NAME}/rotate": "lead",
    f"/alerts/sources/{NAME}/end-previous": "lead",
    f"/alerts/sources/{NAME}/disable": "lead",
}
POSTS: tuple[str, ...] = (
    "/alerts/sources/new",
    f"/alerts/sources/{NAME}/settings",
    f"/alerts/sources/{NAME}/rotate",
    f"/alerts/sources/{NAME}/end-previous",
    f"/alerts/sources/{NAME}/disable",
    f"/alerts/sources/{NAME}/enable",
    "/alerts/refusals/{refusal}/clear",
    "/alerts/deliveries/{put_aside}/retry",
    "/alerts/deliveries/{put_aside}/reveal",
    "/alerts/deliveries/{put_aside}/download",
)


def ids() -> dict[str, str]:
    """The ids pages are tried with."""
    posts = AlertDelivery.objects.filter(source=NAME).order_by("-pk")
    return {
        "delivery": str(posts.filter(state="processed")[0].pk),
        "put_aside": str(posts.filter(state="quarantined")[0].pk),
        "refusal": str(Refusal.objects.order_by("pk")[0].pk),
    }
