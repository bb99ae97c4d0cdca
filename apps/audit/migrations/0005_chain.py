"""The name of this database's chain, by which it tells its own anchors from those of another in the same file."""

from django.db import migrations, models
from django.db.models.functions import Now

POSTGRES = """
CREATE TRIGGER audit_chain_no_update BEFORE UPDATE ON audit_chain FOR EACH ROW EXECUTE FUNCTION audit_no_change();
CREATE TRIGGER audit_chain_no_delete BEFORE DELETE ON audit_chain FOR EACH ROW EXECUTE FUNCTION audit_no_removal();
CREATE TRIGGER audit_chain_no_truncate BEFORE TRUNCATE ON audit_chain
FOR EACH STATEMENT EXECUTE FUNCTION audit_no_removal();
"""
SQLITE = (
    """CREATE TRIGGER audit_chain_no_update BEFORE UPDATE ON audit_chain
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
    """CREATE TRIGGER audit_chain_no_delete BEFORE DELETE ON audit_chain
    WHEN NOT EXISTS (SELECT 1 FROM audit_retention)
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
)


def guard(apps, schema_editor):
    on_postgres = schema_editor.connection.vendor == "postgresql"
    for statement in [POSTGRES] if on_postgres else SQLITE:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_guard")]
    operations = [
        migrations.CreateModel(
            name="AuditChain",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=32)),
                ("at", models.DateTimeField(db_default=Now())),
            ],
            options={"db_table": "audit_chain", "ordering": ["id"]},
        ),
        # Taking it back drops the table, and its triggers with it.
        migrations.RunPython(guard, migrations.RunPython.noop),
    ]
