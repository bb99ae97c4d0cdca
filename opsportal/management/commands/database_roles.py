"""``manage.py database_roles``: the least-privilege set-up on PostgreSQL. Safe to repeat.

Run once by somebody who may make roles, with ``--as`` and the URL of a superuser; after that ``migrate`` keeps the
grants in step. ``--print`` only shows the SQL, for whoever has to run it elsewhere; ``--check`` only looks.
"""

from __future__ import annotations

from typing import Any

import dj_database_url
import psycopg
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from psycopg import sql

from apps.core.cli import PortalCommand
from opsportal.database_roles import (
    Roles,
    grant_statements,
    make_role,
    objects_of,
    owner_statements,
    too_much,
)


class Command(PortalCommand):
    help = "Make the owner and the application role on PostgreSQL, and grant the application only what it needs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--as", dest="administrator", default="", metavar="URL", help="a user who may make roles")
        parser.add_argument("--print", dest="only_print", action="store_true", help="show the SQL, without passwords")
        parser.add_argument("--check", action="store_true", help="only say whether the application may too much")

    def handle(self, *_: Any, administrator: str, only_print: bool, check: bool, **__: Any) -> None:
        owner, application = self._urls()
        roles = Roles(owner["USER"], application["USER"], application["NAME"])
        target = dj_database_url.parse(administrator) if administrator else owner
        try:
            with psycopg.connect(**connection_facts({**target, "NAME": application["NAME"]})) as connection:
                self._work(connection, roles, (owner, application), only_print=only_print, check=check)
        except psycopg.Error as error:
            raise CommandError(f"{str(error).strip()}\n{HINT}") from error

    def _urls(self) -> tuple[dict[str, Any], dict[str, Any]]:
        if not settings.MIGRATION_DATABASE_URL or not settings.APPLICATION_DATABASE_URL:
            raise CommandError(
                "Set MIGRATION_DATABASE_URL (the owner of the tables) and DATABASE_URL (the application) first. "
                "SQLite has no roles; there triggers alone guard the audit trail."
            )
        pair = [
            dict(dj_database_url.parse(url))
            for url in (settings.MIGRATION_DATABASE_URL, settings.APPLICATION_DATABASE_URL)
        ]
        if any("postgresql" not in str(found["ENGINE"]) for found in pair):
            raise CommandError("Both URLs must be of PostgreSQL: SQLite has no roles.")
        if pair[0]["USER"] == pair[1]["USER"]:
            raise CommandError("Both URLs have the same user; the application needs one of its own.")
        return pair[0], pair[1]

    def _work(
        self, connection: Any, roles: Roles, pair: tuple[dict[str, Any], ...], *, only_print: bool, check: bool
    ) -> None:
        with connection.cursor() as cursor:
            if not check:
                for statement in statements(cursor, roles, pair, with_passwords=not only_print):
                    self._do(cursor, statement, only_print)
            if not only_print:
                self._judge(too_much(cursor, roles), roles)

    def _do(self, cursor: Any, statement: sql.Composed, only_print: bool) -> None:
        if only_print:
            self.say(statement.as_string(cursor) + ";")
        else:
            cursor.execute(statement)

    def _judge(self, problems: list[str], roles: Roles) -> None:
        if problems:
            raise CommandError(f"The role {roles.application} {'; '.join(problems)}.")
        self.say(
            f"{roles.owner} owns the tables. {roles.application} works with rows and only adds to the audit trail."
        )


HINT = (
    "If the user may not make roles, run this with --as postgres://SUPERUSER:PASSWORD@HOST/DATABASE, "
    "or hand the output of --print to whoever may."
)


def statements(
    cursor: Any, roles: Roles, pair: tuple[dict[str, Any], ...], *, with_passwords: bool
) -> list[sql.Composed]:
    """Everything, in order. Roles and owners only where the user of the connection may change them."""
    found: list[sql.Composed] = []
    cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    row = cursor.fetchone()
    objects = objects_of(cursor, roles.schema)
    if row is not None and row[0]:
        passwords = [facts["PASSWORD"] if with_passwords else "" for facts in pair]
        found += [make_role(roles.owner, passwords[0]), make_role(roles.application, passwords[1])]
        found += owner_statements(roles, objects)
    return found + grant_statements(roles, [name for _, name in objects])


def connection_facts(parsed: dict[str, Any]) -> dict[str, Any]:
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    return {to: parsed[name] for name, to in names.items() if parsed.get(name)}
