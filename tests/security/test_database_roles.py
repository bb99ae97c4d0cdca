"""The least-privilege set-up, for real: roles are made in the cluster, and the portal works as the application role."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "role-password"

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("postgresql" not in settings.DATABASES["default"]["ENGINE"], reason="SQLite has no roles"),
]


@dataclass(frozen=True)
class Installation:
    """A database of its own with two roles; ``environment`` is what a process of it gets."""

    name: str
    owner: str
    application: str
    facts: dict[str, Any]
    environment: dict[str, str]
    administrator: str

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    def done(self, *words: str) -> str:
        result = self.manage(*words)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def connect(self, user: str) -> psycopg.Connection[Any]:
        return psycopg.connect(**{**self.facts, "user": user, "password": PASSWORD, "dbname": self.name})


def administrator_facts() -> dict[str, Any]:
    given = connection.settings_dict
    names = {"USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    return {to: given[name] for name, to in names.items() if given.get(name)}


def url(facts: dict[str, Any], user: str, password: str, name: str) -> str:
    host = quote(str(facts.get("host", "")), safe="")
    port = f":{facts['port']}" if facts.get("port") else ""
    secret = f":{quote(password, safe='')}" if password else ""
    return f"postgres://{quote(user, safe='')}{secret}@{host}{port}/{name}"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    facts, mark = administrator_facts(), uuid.uuid4().hex[:8]
    name, owner, application = f"roles_{mark}", f"owner_{mark}", f"app_{mark}"
    admin = psycopg.connect(**facts, dbname="postgres", autocommit=True)
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "opsportal.settings",
        "DATA_DIR": str(tmp_path),
        "ENV_FILE": "",
        "DATABASE_URL": url(facts, application, PASSWORD, name),
        "MIGRATION_DATABASE_URL": url(facts, owner, PASSWORD, name),
    }
    by = url(facts, str(facts["user"]), str(facts.get("password", "")), name)
    try:
        yield Installation(name, owner, application, facts, environment, by)
    finally:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        for role in (application, owner):
            admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
        admin.close()


REFUSED = (
    "UPDATE audit_entry SET actor = 'x'",
    "DELETE FROM audit_entry",
    "TRUNCATE audit_entry",
    "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
    "DROP TRIGGER audit_entry_no_update ON audit_entry",
    "DROP TABLE audit_entry",
    "CREATE OR REPLACE FUNCTION audit_no_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "SET session_replication_role = replica",
    "UPDATE audit_anchor SET hash = 'x'",
    "DELETE FROM audit_anchor",
    "TRUNCATE audit_anchor",
    "CREATE TABLE mine (id int)",
    "ALTER TABLE person ADD COLUMN x int",
    "DELETE FROM django_migrations",
    "CREATE ROLE mine",
)


def test_the_application_works_and_cannot_touch_the_trail(installation: Installation) -> None:
    said = installation.done("database_roles", "--as", installation.administrator)
    assert f"{installation.owner} owns the tables" in said
    installation.done("migrate", "--verbosity", "0")
    # Twice, and after the tables are there: nothing changes.
    installation.done("database_roles", "--as", installation.administrator)
    installation.done("database_roles")
    assert "only adds to the audit trail" in installation.done("database_roles", "--check")

    # What the portal does all day, as the application.
    installation.done("operator", "create", "ann@example.com", "--role", "admin")
    installation.done("apikey", "create", "shop", "--scope", "messages:write")
    installation.done("apikey", "revoke", "shop", "--reason", "lost")
    assert "3 entries, all as they were written." in installation.done("audit", "verify")
    looked = "from apps.audit.checks import look; print(look().state)"
    assert installation.done("shell", "-v", "0", "-c", looked).strip().endswith("fits")

    with installation.connect(installation.application) as application:
        for statement in REFUSED:
            with pytest.raises(psycopg.errors.InsufficientPrivilege), application.transaction():
                application.execute(statement)
        # Even with the switch of retention, which anybody may set: it is not a privilege.
        application.execute("SELECT set_config('opsportal.audit_retention', 'on', false)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), application.transaction():
            application.execute("DELETE FROM audit_entry")
        # PostgreSQL only warns here; what counts is that nothing was granted.
        application.execute("GRANT DELETE ON audit_entry TO CURRENT_USER")
        assert application.execute("SELECT has_table_privilege('audit_entry', 'DELETE')").fetchone() == (False,)

    with installation.connect(installation.owner) as owner:
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"), owner.transaction():
            owner.execute("DELETE FROM audit_entry")
        with owner.transaction():
            owner.execute("SELECT set_config('opsportal.audit_retention', 'on', true)")
            owner.execute("DELETE FROM audit_entry WHERE id < 0")

    assert "Nothing is that old." in installation.done("audit", "prune", "--older-than-days", "90", "--reason", "rule")


def test_a_table_of_a_later_migration_is_granted_and_a_trail_is_not(installation: Installation) -> None:
    installation.done("database_roles", "--as", installation.administrator)
    with installation.connect(installation.owner) as owner:
        owner.execute("CREATE TABLE audit_deploy (id bigint)")
        owner.execute("CREATE TABLE later (id bigint)")
    installation.done("migrate", "--verbosity", "0")
    with installation.connect(installation.application) as application:
        application.execute("INSERT INTO later VALUES (1)")
        application.execute("UPDATE later SET id = 2")
        application.execute("INSERT INTO audit_deploy VALUES (1)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), application.transaction():
            application.execute("UPDATE audit_deploy SET id = 2")


def test_too_much_is_said(installation: Installation) -> None:
    installation.done("database_roles", "--as", installation.administrator)
    with installation.connect(installation.owner) as owner:
        owner.execute("CREATE TABLE audit_entry (id bigint)")
    with psycopg.connect(**installation.facts, dbname=installation.name) as admin:  # what the check must notice
        grant = sql.SQL("GRANT UPDATE ON audit_entry TO {}; ALTER ROLE {} CREATEDB")
        role = sql.Identifier(installation.application)
        admin.execute(grant.format(role, role))
    found = installation.manage("database_roles", "--check")
    assert found.returncode == 1
    assert "may make databases" in found.stderr
    assert "may UPDATE audit_entry" in found.stderr


def test_the_sql_can_be_printed_and_holds_no_password(installation: Installation) -> None:
    text = installation.done("database_roles", "--print", "--as", installation.administrator)
    assert f'CREATE ROLE "{installation.application}" LOGIN NOSUPERUSER' in text
    assert "REVOKE CREATE ON SCHEMA" in text
    assert PASSWORD not in text


def test_without_the_two_addresses_it_says_which(installation: Installation) -> None:
    environment = {**installation.environment, "MIGRATION_DATABASE_URL": ""}
    found = Installation(**{**vars(installation), "environment": environment}).manage("database_roles")
    assert found.returncode == 1
    assert "Set MIGRATION_DATABASE_URL" in found.stderr
