from __future__ import annotations

from apps.alerts.models import RotationOverride, RoutingVersion

PAGES: tuple[str, ...] = (
    "/alerts/routing",
    "/alerts/routing/versions",
    "/alerts/routing/versions/{routing_version}",
    "/on-call",
    "/on-call/platform",
    "/on-call/database",
)
# The least role that may open it.
DIALOGS: dict[str, str] = {
    "/alerts/routing/edit": "lead",
    "/alerts/routing/versions/{routing_version}/restore": "lead",
    "/on-call/new": "lead",
    "/on-call/platform/edit": "lead",
    "/on-call/database/remove": "lead",
    "/on-call/platform/instead": "operator",
    "/on-call/platform/hand-over": "operator",
    "/on-call/platform/overrides/{override}/end": "operator",
}
POSTS: tuple[str, ...] = (
    "/alerts/routing/edit",
    "/alerts/routing/versions/{routing_version}/restore",
    "/on-call/new",
    "/on-call/platform/edit",
    "/on-call/database/remove",
    "/on-call/platform/instead",
    "/on-call/platform/hand-over",
    "/on-call/platform/overrides/{override}/end",
)


def ids() -> dict[str, str]:
    """The ids pages are tried with."""
    return {
        "routing_version": str(RoutingVersion.objects.order_by("pk")[0].pk),
        "override": str(RotationOverride.objects.order_by("pk")[0].pk),
    }
