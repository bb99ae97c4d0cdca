"""How PostgreSQL keeps the busy tables: room for updates on the page, vacuum before they bloat."""

from __future__ import annotations

from django.db import migrations

STATEMENTS = [
    # A row is updated twice in its life (claimed, settled) and its indexes are partial: without
    # eager vacuum the front of the claim index fills with dead entries under load.
    """ALTER TABLE notification_outbox SET (
        fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_analyze_scale_factor = 0.05,
        autovacuum_vacuum_cost_delay = 1)""",
    "ALTER TABLE delivery_lane SET (fillfactor = 20, autovacuum_vacuum_threshold = 500)",
    "ALTER TABLE delivery_minute SET (fillfactor = 50)",
]


def tune(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for statement in STATEMENTS:
            schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("outbox", "0001_initial")]
    operations = [migrations.RunPython(tune, migrations.RunPython.noop)]
