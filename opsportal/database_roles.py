"""Two roles on PostgreSQL: the owner, who migrates, and the application, which can neither change tables nor the trail.

The owner is the user of MIGRATION_DATABASE_URL, the application the user of DATABASE_URL. Everything here may be
repeated; the grants are repeated after every migration, because new tables need them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql

# The application adds rows here and reads them; nothing else. A table that is not there yet is passed over.
APPEND_ONLY: Final = ("audit_entry", "audit_anchor", "audit_chain", "audit_deploy")
# Which migrations ran is the owner's business.
READ_ONLY: Final = ("django_migrations",)
PLAIN: Final = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of the two roles, of the database and of the schema its tables are in."""

    owner: str
    application: str
    database: str
    schema: str = "public"


def make_role(name: str, password: str) -> sql.Composed:
    """A role that may log in and nothing more, or an existing one made so."""
    secret = sql.SQL(" PASSWORD {}").format(sql.Literal(password)) if password else sql.SQL("")
    statement = sql.SQL(
        "DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = {text}) "
        "THEN ALTER ROLE {name} {plain}{secret}; ELSE CREATE ROLE {name} {plain}{secret}; END IF; END $$"
    )
    return statement.format(text=sql.Literal(name), name=sql.Identifier(name), plain=sql.SQL(PLAIN), secret=secret)


def owner_statements(roles: Roles, tables: Iterable[tuple[str, str]]) -> list[sql.Composed]:
    """Hand schema and ``tables`` (kind, name) to the owner. Needs a superuser, or a member of both roles."""
    owner, schema = sql.Identifier(roles.owner), sql.Identifier(roles.schema)
    found = [
        sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(roles.database), owner),
        sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(schema, owner),
    ]
    kinds = {"r": "TABLE", "p": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW", "S": "SEQUENCE", "f": "FUNCTION"}
    for kind, name in tables:
        what = sql.SQL(name) if kind == "f" else sql.Identifier(roles.schema, name)
        found.append(sql.SQL("ALTER {} {} OWNER TO {}").format(sql.SQL(kinds[kind]), what, owner))
    return found


def grant_statements(roles: Roles, there: Iterable[str]) -> list[sql.Composed]:
    """What the application may: work with rows. ``there`` are the tables that exist. The owner can run these."""
    names = {
        "owner": sql.Identifier(roles.owner),
        "app": sql.Identifier(roles.application),
        "database": sql.Identifier(roles.database),
        "schema": sql.Identifier(roles.schema),
    }
    texts = [
        "GRANT CONNECT ON DATABASE {database} TO {app}",
        "REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC",
        "REVOKE ALL ON SCHEMA {schema} FROM {app}",
        "GRANT USAGE ON SCHEMA {schema} TO {app}",
        "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {app}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {app}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {app}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} "
        "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT USAGE, SELECT ON SEQUENCES TO {app}",
    ]
    found = [sql.SQL(text).format(**names) for text in texts]
    existing = set(there)
    for tables, taken in ((APPEND_ONLY, "UPDATE, DELETE, TRUNCATE"), (READ_ONLY, "INSERT, UPDATE, DELETE, TRUNCATE")):
        for table in tables:
            if table in existing:
                text = sql.SQL("REVOKE {} ON {} FROM {}")
                found.append(text.format(sql.SQL(taken), sql.Identifier(roles.schema, table), names["app"]))
    return found


def objects_of(cursor: Any, schema: str) -> list[tuple[str, str]]:
    """Kind and name of everything in ``schema`` that has an owner of its own."""
    cursor.execute(
        # A sequence of an identity column goes with its table.
        "SELECT c.relkind::text, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT EXISTS (SELECT 1 FROM pg_depend d "
        "WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')) ORDER BY 1, 2",
        [schema],
    )
    found = [(str(kind), str(name)) for kind, name in cursor.fetchall()]
    cursor.execute(
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
        "WHERE n.nspname = %s AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')",
        [schema],
    )
    return found + [("f", str(row[0])) for row in cursor.fetchall()]


def too_much(cursor: Any, roles: Roles) -> list[str]:
    """What the application role may that it should not; empty when all is well."""
    cursor.execute(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = %s",
        [roles.application],
    )
    row = cursor.fetchone()
    if row is None:
        return [f"there is no role {roles.application}"]
    words = ("is a superuser", "may make databases", "may make roles", "may replicate", "passes row security by")
    found = [word for word, holds in zip(words, row, strict=True) if holds]
    cursor.execute("SELECT has_schema_privilege(%s, %s, 'CREATE')", [roles.application, roles.schema])
    if cursor.fetchone()[0]:
        found.append(f"may make tables in the schema {roles.schema}")
    cursor.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relkind = 'r' AND pg_has_role(%s, c.relowner, 'USAGE') ORDER BY 1",
        [roles.schema, roles.application],
    )
    owned = [str(name) for (name,) in cursor.fetchall()]
    if owned:
        found.append(f"owns {len(owned)} tables, {owned[0]} for one")
    return found + _may_change_trail(cursor, roles)


def _may_change_trail(cursor: Any, roles: Roles) -> list[str]:
    found = []
    for table in APPEND_ONLY:
        for privilege in ("UPDATE", "DELETE", "TRUNCATE"):
            cursor.execute(
                "SELECT has_table_privilege(%s, c.oid, %s) FROM pg_class c JOIN pg_namespace n "
                "ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
                [roles.application, privilege, roles.schema, table],
            )
            row = cursor.fetchone()
            if row is not None and row[0]:
                found.append(f"may {privilege} {table}")
    return found


def keep_grants(connection: Any, application: str) -> bool:
    """After a migration by the owner: grants for new tables. False when there is nothing to keep."""
    facts = connection.settings_dict
    if connection.vendor != "postgresql" or not application or application == facts["USER"]:
        return False
    roles = Roles(facts["USER"], application, facts["NAME"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [application])
        if cursor.fetchone() is None:
            return False
        for statement in grant_statements(roles, [name for _, name in objects_of(cursor, roles.schema)]):
            cursor.execute(statement)
    return True
