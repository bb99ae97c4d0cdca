"""``manage.py template list|show|put|activate``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from apps.core.cli import PortalCommand, add_json_option
from apps.core.errors import Invalid
from apps.outbox.models import MessageTemplate
from apps.outbox.templating import selectors, services
from apps.outbox.templating.shown import shown_line, shown_name, shown_version
from apps.outbox.templating.tags import DEFAULT_LANGUAGE


class Command(PortalCommand):
    help = "Message templates: which there are, a new version, and which version is used."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listed = verbs.add_parser("list", help="templates by name")
        listed.add_argument("--query", default="", help="part of a name or description")
        listed.add_argument("--archived", action="store_true", help="those with an archived line")
        listed.add_argument("--limit", type=int, default=selectors.NAMES_PER_PAGE)
        listed.add_argument("--cursor", default="", help="continue behind this name")
        show = verbs.add_parser("show", help="the text of the version in use, or of another")
        show.add_argument("--version", dest="number", type=int)
        put = verbs.add_parser("put", help="write the next version; its body comes from --file or standard input")
        put.add_argument("--file", default="-", help="the body; - is standard input")
        put.add_argument("--subject", default="")
        put.add_argument("--content-type", default="")
        put.add_argument("--description", default="")
        put.add_argument("--sample", default="{}", help="JSON object the version is checked with")
        put.add_argument("--draft", action="store_true", help="keep it without using it")
        activate = verbs.add_parser("activate", help="use another version from now on")
        for verb in (put, activate):
            verb.add_argument("--reason", default="", help="why, for the audit trail")
        for verb in (show, put, activate):
            verb.add_argument("name")
            verb.add_argument("--language", default=DEFAULT_LANGUAGE)
        activate.add_argument("number", type=int, metavar="VERSION")
        for verb in (listed, show, put, activate):
            verb.add_argument("--channel", default="" if verb is listed else None)
            add_json_option(verb)
        listed.add_argument("--language", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['verb']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        names = ("query", "channel", "language", "archived", "cursor", "limit")
        page = selectors.list_templates(**{name: options[name] for name in names})
        if options["json"]:
            self.say_json({"templates": [shown_name(found) for found in page.items], "next_cursor": page.next_cursor})
            return
        rows = [
            (found.name, line.id.channel or "any", line.id.language, _using(line), len(line.versions), found.lately)
            for found in page.items
            for line in found.lines
        ]
        self.say_table(("name", "channel", "language", "in use", "versions", "messages in 7 days"), rows)
        if page.next_cursor:
            self.say(f"More: --cursor {page.next_cursor}")

    def _show(self, options: dict[str, Any]) -> None:
        line = self._line(options)
        using = line.using
        number = options["number"] or (using or line.newest).version
        found = selectors.get_version(line.id, number)
        if options["json"]:
            usage = selectors.usage_of([found.pk])
            self.say_json(shown_line(line) | shown_version(found, in_use=found == using, usage=usage.get(found.pk)))
            return
        self.say(f"{line.id}, version {found.version}{' in use' if found == using else ''}, {found.content_type}")
        if found.subject:
            self.say(f"Subject: {found.subject}")
        self.say()
        self.say(found.body)

    def _put(self, options: dict[str, Any]) -> None:
        if not options["channel"]:
            raise Invalid.field("channel", "is required: say --channel")
        version = services.NewVersion(
            body=_read(options["file"]),
            subject=options["subject"],
            content_type=options["content_type"],
            description=options["description"],
            sample_data=_sample(options["sample"]),
        )
        line = services.line_id(options["name"], options["channel"], options["language"])
        saved = services.save_version(
            line=line, version=version, actor=self.actor(), reason=options["reason"], draft=options["draft"]
        )
        self._say_saved(saved, line, options["json"])

    def _activate(self, options: dict[str, Any]) -> None:
        line = self._line(options).id
        saved = services.activate(line=line, version=options["number"], actor=self.actor(), reason=options["reason"])
        self._say_saved(saved, line, options["json"])

    def _say_saved(self, saved: MessageTemplate, line: services.LineId, as_json: bool) -> None:
        if as_json:
            saved.refresh_from_db()
            self.say_json(shown_version(saved, in_use=saved.active))
        else:
            self.say(f"Version {saved.version} of {line} is {'a draft' if saved.draft else 'in use'}.")

    def _line(self, options: dict[str, Any]) -> selectors.Line:
        return selectors.get_line(selectors.get_template(options["name"]), options["channel"], options["language"])


def _using(line: selectors.Line) -> str:
    if line.archived_at is not None:
        return "archived"
    using = line.using
    return f"v{using.version}" if using else "drafts only"


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid.field("file", f"cannot be read: {error}") from error


def _sample(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Invalid.field("sample", f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Invalid.field("sample", "must be a JSON object")
    return value
