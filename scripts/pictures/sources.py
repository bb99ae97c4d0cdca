"""The delivery-health board, a source, and what was posted."""

from __future__ import annotations

from typing import Final

from scripts.pictures.shot import Shot

SHOTS: Final[tuple[Shot, ...]] = (
    Shot("sources", "/alerts/sources"),
    Shot("source", "/alerts/sources/grafana-shop"),
    Shot("source-new", "/alerts/sources", "a[hx-get$=new]"),
    Shot("source-settings", "/alerts/sources/grafana-shop", "a[hx-get$=settings]"),
    Shot("deliveries", "/alerts/deliveries", full=False),
    Shot("delivery", "/alerts/deliveries/{delivery}"),
)
# Prints "name id" for what the addresses above need.
PICK: Final = """
from apps.alerts.models import Quarantined
print("delivery", Quarantined.objects.order_by("pk").values_list("delivery", flat=True)[0])
"""
