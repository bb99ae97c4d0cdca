"""``manage.py audit list | verify | export | prune``."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.dateparse import parse_date, parse_datetime

from apps.audit import anchors
from apps.audit.export import CONTENT_TYPES, FileCheck, export, verify_file
from apps.audit.guard import missing_triggers
from apps.audit.models import AuditEntry
from apps.audit.retention import prune
from apps.audit.selectors import AuditFilters, as_row
from apps.audit.verification import verify_chain
from apps.core import clock
from apps.core.cli import PortalCommand, add_json_option


class Command(PortalCommand):
    help = "Read the audit trail, check that nobody changed it, export it, remove what is older than is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listing = verbs.add_parser("list", help="newest first")
        listing.add_argument("--limit", type=int, default=50)
        listing.add_argument("--target", default="", help="for example service:midtrans")
        listing.add_argument("--actor", default="")
        add_json_option(listing)
        verify = verbs.add_parser("verify", help="check the hash chain; exit status 1 if it is broken")
        verify.add_argument("--file", type=Path, metavar="EXPORT", help="check this export instead of the database")
        verify.add_argument(
            "--complete", action="store_true", help="with --file: rows missing between others are wrong"
        )
        add_json_option(verify)
        exporting = verbs.add_parser("export", help="write rows to standard output, oldest first")
        exporting.add_argument("--since", default="", metavar="TIME", help="a day or a time, UTC unless it says else")
        exporting.add_argument("--until", default="", metavar="TIME")
        exporting.add_argument("--format", default="jsonl", choices=sorted(CONTENT_TYPES))
        exporting.add_argument("--output", type=Path, metavar="FILE", help="write here instead")
        pruning = verbs.add_parser("prune", help="remove old rows; on PostgreSQL only the owner may")
        pruning.add_argument("--older-than-days", type=int, required=True)
        pruning.add_argument("--reason", required=True)

    def handle(self, *_: Any, verb: str, **options: Any) -> None:
        getattr(self, f"handle_{verb}")(**options)

    def handle_list(self, *, limit: int, target: str, actor: str, json: bool, **_: Any) -> None:
        rows = AuditFilters(target=target, actor=actor).queryset()
        entries = list(rows.order_by("-id")[: max(1, limit)])
        if json:
            self.say_json([as_row(entry) for entry in entries])
        else:
            self.say_table(["AT (UTC)", "WHO", "WHAT", "TO", "WHY"], [_brief(entry) for entry in entries])

    def handle_verify(self, *, json: bool, file: Path | None, complete: bool, **_: Any) -> None:
        if file is not None:
            self._verify_file(file, json=json, complete=complete)
            return
        found, missing = verify_chain(), missing_triggers()
        if json:
            facts = {"checked": found.checked, "broken_at": found.broken_at, "problem": found.problem}
            self.say_json({**facts, "last_id": found.upto.id, "last_hash": found.upto.hash, "missing_guards": missing})
        if found.broken_at is not None:
            raise CommandError(f"The audit trail is broken at entry {found.broken_at}: {found.problem}.")
        if missing:
            raise CommandError(
                f"{found.checked} entries fit, but the database does not guard them: {', '.join(missing)} "
                "is missing or disabled. See docs/runbooks/audit-chain-broken.md."
            )
        if not json:
            self.say(f"{found.checked} entries, all as they were written.")
            if found.upto.id:
                self.say(f"The last is {found.upto.id} with the hash {found.upto.hash}.")
            other = anchors.of_others()
            if other:
                self.say(
                    f"{other.source} belongs to another database, which had reached entry {other.entry_id}. "
                    "If nobody began with an empty database, see docs/runbooks/audit-chain-broken.md."
                )

    def _verify_file(self, file: Path, *, json: bool, complete: bool) -> None:
        kind = "csv" if file.suffix.lower() == ".csv" else "jsonl"
        try:
            with file.open(encoding="utf-8", newline="") as lines:
                found = verify_file(lines, kind=kind)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.", returncode=2) from error
        if json:
            self.say_json({name: getattr(found, name) for name in FileCheck.__slots__})
        if found.broken:
            raise CommandError(f"{file} is not as it was exported: {found.broken}.")
        if complete and found.gaps:
            raise CommandError(f"{file} is not complete: rows are missing in {found.gaps} places.")
        if not json:
            self._say_file(found)

    def _say_file(self, found: FileCheck) -> None:
        self.say(f"{found.rows} rows, each as it was written; entries {found.first} to {found.last}.")
        if found.rows:
            self.say(f"The last hash is {found.last_hash}: compare it with the portal's.")
        if found.gaps:
            self.say(f"In {found.gaps} places rows between are not in this file, as a filter would leave it.")

    def handle_export(self, *, since: str, until: str, format: str, output: Path | None, **_: Any) -> None:
        filters = AuditFilters(since=_moment("since", since), until=_moment("until", until))
        lines = export(filters=filters, kind=format, actor=self.actor())
        with output.open("w", encoding="utf-8", newline="") if output else nullcontext(self.stdout) as out:
            for line in lines:
                out.write(line, ending="") if out is self.stdout else out.write(line)
        if output:
            print(f"Wrote {output}", file=sys.stderr)

    def handle_prune(self, *, older_than_days: int, reason: str, **_: Any) -> None:
        before = clock.now() - timedelta(days=older_than_days)
        gone = prune(before=before, actor=self.actor(), reason=reason)
        self.say(f"{gone} entries removed; the trail says so." if gone else "Nothing is that old.")


def _brief(entry: AuditEntry) -> list[str]:
    return [f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.actor, entry.action, entry.target, entry.reason]


def _moment(name: str, text: str) -> datetime | None:
    """A day (its first moment) or a time; UTC unless it carries a zone."""
    if not text:
        return None
    try:
        day = parse_date(text)
        found = parse_datetime(text) if day is None else datetime(day.year, day.month, day.day)
    except ValueError:
        found = None
    if found is None:
        raise CommandError(f"--{name} {text}: give a day such as 2026-01-31, or a time such as 2026-01-31T09:00Z.")
    return found if found.tzinfo else found.replace(tzinfo=UTC)
