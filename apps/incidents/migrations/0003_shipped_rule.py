from __future__ import annotations

from typing import Any

from django.db import migrations


def ship(apps: Any, schema_editor: Any) -> None:
    """A critical alert that fires for five minutes is an incident, unless somebody switches that off."""
    apps.get_model("incidents", "Rule").objects.get_or_create(
        name="critical-alert",
        defaults={"match": {"severity": "critical"}, "after_s": 300, "severity": "sev2", "created_by": "opsportal"},
    )


class Migration(migrations.Migration):
    dependencies = [("incidents", "0002_roles_said_and_left_out")]

    operations = [migrations.RunPython(ship, migrations.RunPython.noop)]
