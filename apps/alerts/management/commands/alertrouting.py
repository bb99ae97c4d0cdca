"""``manage.py alertrouting show``; ``load FILE --reason WHY [--if-none]``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from django.core.management.base import CommandParser

from apps.alerts import policies
from apps.alerts.models import RoutingVersion
from apps.core.cli import PortalCommand, add_json_option
from apps.core.errors import Invalid


class Command(PortalCommand):
    help = "Show the routing of alerts, or put a file in force."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add_json_option(verbs.add_parser("show", help="print what is in force, as YAML"))
        load = verbs.add_parser("load", help="make a file the newest version")
        load.add_argument("file", type=Path)
        load.add_argument("--reason", default="", help="why; goes into the audit trail")
        load.add_argument("--if-none", action="store_true", help="only where none was ever saved")

    def handle(self, *_: Any, verb: str, **options: Any) -> None:
        getattr(self, f"handle_{verb}")(**options)

    def handle_show(self, *, json: bool, **_: Any) -> None:
        document = policies.in_force()[1].model_dump()
        if json:
            self.say_json(document)
        else:
            self.say(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))

    def handle_load(self, *, file: Path, reason: str, if_none: bool, **_: Any) -> None:
        document = read(file)
        if if_none and RoutingVersion.objects.exists():
            self.say("There is a routing already; nothing was changed.")
            return
        saved = policies.save_routing(document=document, actor=self.actor(), reason=reason or f"loaded from {file}")
        self.say(f"{file} is in force as version {saved.pk}.")


def read(file: Path) -> Any:
    """What the file says, not yet checked. Raises :class:`Invalid`."""
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Invalid(f"{file} is no YAML: {error}") from error
