"""``manage.py environment``: every variable the portal reads, made from the declarations in opsportal/settings.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.core.cli import PortalCommand
from opsportal import settings
from opsportal.env import Variable

REFERENCE = settings.BASE_DIR / "docs" / "reference" / "environment.md"
EXAMPLE = settings.BASE_DIR / ".env.example"

REFERENCE_HEAD = """# Environment

<!-- Made from opsportal/settings.py by `manage.py environment --write`; edit it there. -->

Every variable is read once, at the start. All problems are reported together, and nothing starts until they are
solved. An empty value counts as unset. `NAME_FILE` may name a file that holds the value of `NAME` (Docker and
systemd secrets); setting both is an error.

On one machine the values may also stand in `.env` (see `.env.example`; another file with `ENV_FILE`). `make run` keeps
the secrets it makes in `DATA_DIR/secrets.env` and, while it runs, what it was started with in `DATA_DIR/run.env`, so
that `manage.py` in another shell agrees with it. The real environment wins over all of them. A service's secret is in
the variable that its `secret_ref` in `config/services.yaml` names, or in that variable's `_FILE` twin.

| variable | value | default | meaning |
|---|---|---|---|
"""

EXAMPLE_HEAD = """# Made from opsportal/settings.py by `manage.py environment --write`; edit it there.
# Copy this to .env and change what you need. Each line shows the default; docs/reference/environment.md explains.
"""


class Command(PortalCommand):
    help = "Show every environment variable; --write makes docs/reference/environment.md and .env.example anew."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--write", action="store_true", help="write the two files")
        parser.add_argument("--check", action="store_true", help="fail when a file is not what --write would make")

    def handle(self, *_: Any, write: bool, check: bool, **__: Any) -> None:
        made = {REFERENCE: reference(settings.env.variables), EXAMPLE: example(settings.env.variables)}
        if write:
            for path, text in made.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                self.say(f"Wrote {path.relative_to(settings.BASE_DIR)}")
        elif check:
            old = [shown(path) for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text]
            if old:
                raise CommandError(f"{', '.join(old)}: not in step with the code. Run: manage.py environment --write")
        else:
            self.say_table(["VARIABLE", "DEFAULT", "MEANING"], [row(v) for v in settings.env.variables])


def shown(path: Path) -> str:
    return str(path.relative_to(settings.BASE_DIR))


def row(variable: Variable) -> list[str]:
    return [variable.name, variable.default, variable.meaning]


def reference(variables: Sequence[Variable]) -> str:
    """The page: one line per variable, in the order of the code, which groups them by subject."""
    return REFERENCE_HEAD + "".join(_table_line(variable) for variable in variables)


def _table_line(variable: Variable) -> str:
    default = f"`{variable.default}`" if variable.default else "(empty)"
    cells = [f"`{variable.name}`", variable.kind, default, variable.meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def example(variables: Sequence[Variable]) -> str:
    return EXAMPLE_HEAD + "".join(f"\n# {v.meaning}\n# {v.name}={_example_value(v)}\n" for v in variables)


def _example_value(variable: Variable) -> str:
    # A default in brackets tells where a value comes from; it is not one.
    return "" if variable.default.startswith("(") else variable.default
