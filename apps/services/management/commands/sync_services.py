"""``manage.py sync_services``: bring config/services.yaml into the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from apps.core.cli import PortalCommand, add_json_option
from apps.services.shown import shown_value
from apps.services.sync import Change, ServicePlan, sync_services

SIGNS = {"new": "+", "changed": "~", "same": "=", "missing": "!", "pause": "!"}


class Command(PortalCommand):
    help = "Bring the services of config/services.yaml into the database. Edits made in the portal stay."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--file", type=Path, default=None, help="default: SERVICES_FILE")
        parser.add_argument("--dry-run", action="store_true", help="show what would change, change nothing")
        parser.add_argument("--disable-missing", action="store_true", help="pause services that left the file")
        add_json_option(parser)

    def handle(self, *_: Any, file: Path | None, dry_run: bool, disable_missing: bool, json: bool, **__: Any) -> None:
        path = file or settings.SERVICES_FILE
        plans = sync_services(path=path, actor=self.actor(), dry_run=dry_run, disable_missing=disable_missing)
        if json:
            self.say_json({"file": str(path), "dry_run": dry_run, "services": [plan.as_dict() for plan in plans]})
        else:
            self._say_plans(plans, path, dry_run)

    def _say_plans(self, plans: list[ServicePlan], path: Path, dry_run: bool) -> None:
        for plan in plans:
            for line in lines_of(plan) if dry_run or plan.kind != "new" else lines_of(plan)[:1]:
                self.say(line)
        count = {kind: sum(plan.kind == kind for plan in plans) for kind in ("new", "changed", "same")}
        words = (
            "would add {new}, change {changed}, leave {same}"
            if dry_run
            else "added {new}, changed {changed}, left {same}"
        )
        self.say(f"{path}: {words.format(**count)} as they are.")


def lines_of(plan: ServicePlan) -> list[str]:
    """The plan of one service as a diff; nothing for one that stays as it is."""
    lines = [f"{SIGNS[plan.kind]} {plan.name}{_remark(plan)}"] if plan.kind != "same" or plan.kept else []
    lines += [f"    {_arrow(change)}" for change in plan.changes]
    return lines + [
        f"    {change.path}: kept {_value(change.path, change.before)}, edited in the portal; "
        f"the file says {_value(change.path, change.after)}"
        for change in plan.kept
    ]


def _remark(plan: ServicePlan) -> str:
    if plan.kind == "new":
        return " (new)"
    if plan.kind == "missing":
        return " is no longer in the file; it is kept. --disable-missing would pause it"
    return " is no longer in the file: paused" if plan.kind == "pause" else ""


def _arrow(change: Change) -> str:
    after = _value(change.path, change.after)
    if change.before is None:
        return f"{change.path}: {after}"
    return f"{change.path}: {_value(change.path, change.before)} -> {after}"


def _value(path: str, value: Any) -> str:
    return "(not set)" if value is None else str(shown_value(path, value))
