"""``manage.py audit list`` and ``manage.py audit verify``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.audit.models import AuditEntry
from apps.audit.services import verify_chain
from apps.core.cli import PortalCommand, add_json_option


class Command(PortalCommand):
    help = "Read the audit trail and check that nobody changed it."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listing = verbs.add_parser("list", help="newest first")
        listing.add_argument("--limit", type=int, default=50)
        listing.add_argument("--target", default="", help="for example service:midtrans")
        listing.add_argument("--actor", default="")
        for sub in (listing, verbs.add_parser("verify", help="check the hash chain; exit status 1 if it is broken")):
            add_json_option(sub)

    def handle(self, *_: Any, verb: str, **options: Any) -> None:
        getattr(self, f"handle_{verb}")(**options)

    def handle_list(self, *, limit: int, target: str, actor: str, json: bool, **_: Any) -> None:
        wanted = {name: value for name, value in (("target", target), ("actor", actor)) if value}
        entries = list(AuditEntry.objects.filter(**wanted).order_by("-id")[: max(1, limit)])
        if json:
            self.say_json([shown(entry) for entry in entries])
        else:
            rows = [[f"{e.at:%Y-%m-%d %H:%M:%S}", e.actor, e.action, e.target, e.reason] for e in entries]
            self.say_table(["AT (UTC)", "WHO", "WHAT", "TO", "WHY"], rows)

    def handle_verify(self, *, json: bool, **_: Any) -> None:
        found = verify_chain()
        if json:
            self.say_json({"checked": found.checked, "broken_at": found.broken_at, "problem": found.problem})
        if found.broken_at is not None:
            raise CommandError(f"The audit trail is broken at entry {found.broken_at}: {found.problem}.")
        if not json:
            self.say(f"{found.checked} entries, all as they were written.")


def shown(entry: AuditEntry) -> dict[str, Any]:
    names = ("id", "at", "actor_kind", "actor", "ip", "action", "target", "reason", "before", "after", "request_id")
    return {**{name: getattr(entry, name) for name in names}, "hash": entry.hash}
