"""``manage.py prepare``: bring database and files in step with the code. Safe to repeat.

``make run`` runs it before it starts anything; a deployment runs it once per release.
"""

from __future__ import annotations

import io
import secrets
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandParser

from apps.accounts.models import ApiKey
from apps.core.cli import PortalCommand

# So that every target of the first page is reached.
SANDBOX_ROUTING = settings.BASE_DIR / "config" / "sandbox-routing.yaml"
SANDBOX_SCOPES = ("messages:write", "messages:read")


class Command(PortalCommand):
    help = "Migrate, collect static files, load the services file; with --first-run also make a first log-in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--first-run", action="store_true", help="make a first log-in when nobody has one yet")
        parser.add_argument("--sandbox-key", action="store_true", help="make an API key for the sandbox's producer")
        parser.add_argument(
            "--operator", default="admin@localhost", metavar="EMAIL", help="who the first log-in is for"
        )
        parser.add_argument("--json", action="store_true", help="print what was made as JSON, alone on standard output")

    def handle(self, *_: Any, first_run: bool, sandbox_key: bool, operator: str, json: bool, **__: Any) -> None:
        self.migrate()
        self.progress("Collecting static files")
        call_command("collectstatic", interactive=False, verbosity=0)
        self.progress(f"Loading {shown_path(settings.SERVICES_FILE)}")
        call_command("sync_services", stdout=sys.stderr)
        if settings.SANDBOX:
            call_command("alertrouting", "load", SANDBOX_ROUTING, "--if-none", stdout=sys.stderr)
        made: dict[str, str] = {}
        if first_run and not get_user_model().objects.exists():
            made |= {"operator": operator, "password": self.first_operator(operator)}
        if sandbox_key:
            made["sandbox_key"] = self.producer_key()
        if json:
            self.say_json(made)
        else:
            for name, value in made.items():
                self.say(f"{name}: {value}")

    def migrate(self) -> None:
        from django.db import connection
        from django.db.migrations.executor import MigrationExecutor

        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        self.progress(f"Applying {len(plan)} migrations to {database_name()}" if plan else "The database is in step")
        # Even without a plan: this is what brings the periodic schedule in step.
        call_command("migrate", interactive=False, verbosity=0)

    def first_operator(self, email: str) -> str:
        self.progress(f"Making the first log-in, {email}")
        out = io.StringIO()
        call_command("operator", "create", email, "--role", "admin", "--quiet", stdout=out)
        return out.getvalue().strip()

    def producer_key(self) -> str:
        """A new key under a new name; one that another secrets.env held is revoked by hand, if at all."""
        number = ApiKey.objects.filter(name__startswith="sandbox").count()
        name = "sandbox" if number == 0 else f"sandbox-{secrets.token_hex(3)}"
        self.progress(f"Making the API key {name} for the sandbox's producer")
        out = io.StringIO()
        scopes = [part for scope in SANDBOX_SCOPES for part in ("--scope", scope)]
        call_command("apikey", "create", name, *scopes, "--quiet", stdout=out)
        return out.getvalue().strip()

    def progress(self, text: str) -> None:
        """To standard error, so that --json stays alone on standard output."""
        print(f"==> {text}", file=sys.stderr, flush=True)


def database_name() -> str:
    from django.db import connection

    kind = "PostgreSQL" if connection.vendor == "postgresql" else "SQLite"
    name = connection.settings_dict["NAME"]
    return f"{kind} at {shown_path(Path(name))}" if kind == "SQLite" else f"{kind} database {name}"


def shown_path(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
