"""The database refuses to change or remove a row of the trail. Retention says so first (apps/audit/guard.py)."""

from django.db import migrations

TABLES = ("audit_entry", "audit_anchor")

POSTGRES_UP = """
DROP TRIGGER audit_entry_append_only ON audit_entry;
DROP FUNCTION audit_entry_append_only();
CREATE FUNCTION audit_no_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$;
CREATE FUNCTION audit_no_removal() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
  IF current_setting('opsportal.audit_retention', true) = 'on' THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'the audit trail is append-only; retention is: manage.py audit prune';
END $$;
"""
POSTGRES_TABLE = """
CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION audit_no_change();
CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION audit_no_removal();
CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION audit_no_removal();
"""
SQLITE_UP = (
    "DROP TRIGGER audit_entry_append_only",
    "CREATE TABLE audit_retention (open integer NOT NULL)",
)
SQLITE_TABLE = (
    """CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
    """CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN NOT EXISTS (SELECT 1 FROM audit_retention)
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only; retention is: manage.py audit prune'); END""",
)
POSTGRES_DOWN = """
DROP FUNCTION audit_no_change() CASCADE;
DROP FUNCTION audit_no_removal() CASCADE;
CREATE FUNCTION audit_entry_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$;
CREATE TRIGGER audit_entry_append_only BEFORE UPDATE ON audit_entry
FOR EACH ROW EXECUTE FUNCTION audit_entry_append_only();
"""
SQLITE_DOWN = (
    *(f"DROP TRIGGER {table}_no_{kind}" for table in TABLES for kind in ("update", "delete")),
    "DROP TABLE audit_retention",
    """CREATE TRIGGER audit_entry_append_only BEFORE UPDATE ON audit_entry
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
)


def put_up(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        statements = [POSTGRES_UP, *(POSTGRES_TABLE.format(table=table) for table in TABLES)]
    else:
        statements = [*SQLITE_UP, *(text.format(table=table) for table in TABLES for text in SQLITE_TABLE)]
    for statement in statements:
        schema_editor.execute(statement)


def take_down(apps, schema_editor):
    on_postgres = schema_editor.connection.vendor == "postgresql"
    for statement in [POSTGRES_DOWN] if on_postgres else SQLITE_DOWN:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_search_anchors_checks")]
    operations = [migrations.RunPython(put_up, take_down)]
