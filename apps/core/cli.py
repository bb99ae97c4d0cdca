"""What the management commands share: errors for people, --json, and who is at the shell."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.actor import Actor, cli_actor
from apps.core.errors import PortalError


class PortalCommand(BaseCommand):
    """A command whose expected errors end with one clear line and exit status 1, never a traceback."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except PortalError as error:
            raise CommandError(error.message) from error

    def actor(self) -> Actor:
        """The person at the shell, as the audit trail names them."""
        try:
            return cli_actor(getpass.getuser())
        except (KeyError, OSError):  # a container user without a name
            return cli_actor("shell")

    def say(self, text: str = "") -> None:
        self.stdout.write(text)

    def say_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, default=_json_default, ensure_ascii=False))

    def say_table(self, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Columns as wide as their widest cell."""
        lines = [list(header), *[["" if cell is None else str(cell) for cell in row] for row in rows]]
        widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
        for line in lines:
            self.say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _json_default(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def add_json_option(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
