from __future__ import annotations

from typing import Final

from scripts.pictures.shot import Shot

SHOTS: Final[tuple[Shot, ...]] = (
    Shot("quiet", "/alerts/quiet"),
    Shot("quiet-maintenance", "/alerts/quiet/maintenance/{window}"),
    Shot("quiet-plan", "/alerts/quiet", press="a[href='/alerts/quiet/maintenance/new']"),
    Shot("quiet-silence", "/alerts/quiet", press="a[href='/alerts/quiet/silences/new']"),
)
# Prints "name id" for what the addresses above need.
PICK: Final = """
from apps.alerts.models import Maintenance
print("window", Maintenance.objects.order_by("pk").values_list("pk", flat=True).first())
"""
