"""How PostgreSQL keeps the busy tables: room for the new version of a row on its own page (HOT updates)."""

from __future__ import annotations

from django.db import migrations

STATEMENTS = [
    "ALTER TABLE breaker_window SET (fillfactor = 50, autovacuum_vacuum_threshold = 500)",
    "ALTER TABLE breaker_worker SET (fillfactor = 50, autovacuum_vacuum_threshold = 500)",
    "ALTER TABLE breaker SET (fillfactor = 50)",
]


def tune(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for statement in STATEMENTS:
            schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("breakers", "0001_initial")]
    operations = [migrations.RunPython(tune, migrations.RunPython.noop)]
