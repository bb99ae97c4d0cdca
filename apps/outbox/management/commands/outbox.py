"""``manage.py outbox send|show|stats``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.core.cli import PortalCommand, add_json_option
from apps.core.errors import Invalid
from apps.outbox.figures import Backlog, ServiceFigures, backlog, figures_by_service
from apps.outbox.management.shapes import of_detail
from apps.outbox.models import Message
from apps.outbox.selectors import MessageDetail, message_detail, open_letters
from apps.outbox.services import enqueue
from apps.services.models import Service

TEXTS = {
    "recipient": "who it goes to",
    "subject": "subject, where the channel has one",
    "body-template": "a template that makes the body, with --data",
    "template": "the name of a stored template",
    "payload": "the body as it is; - reads standard input",
    "content-type": "type of the payload",
    "tenant-id": "tenant",
    "ordering-key": "messages of one key go one after another",
    "idempotency-key": "a second message with this key is not accepted",
    "send-after": "not before, such as 2026-01-31T09:00:00Z",
    "expires-at": "not after",
}


class Command(PortalCommand):
    help = "Send a message, look at one, or see what each service has waiting and delivered."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        send = verbs.add_parser("send", help="accept one message")
        send.add_argument("service", help="a configured service")
        for name, text in TEXTS.items():
            send.add_argument(f"--{name}", default="", help=text)
        send.add_argument("--body-json", help="the body as a JSON value")
        send.add_argument("--data", help="JSON object for the template")
        send.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="may be repeated")
        send.add_argument("--priority", type=int, default=5, help="0 to 9, higher goes first")
        send.add_argument("--max-attempts", type=int, help="instead of the service's own")
        show = verbs.add_parser("show", help="one message with its attempts")
        show.add_argument("id", type=int)
        show.add_argument("--body", action="store_true", help="show what it says, too")
        stats = verbs.add_parser("stats", help="backlog and deliveries by service")
        stats.add_argument("--minutes", type=int, default=5, help="of the last so many minutes")
        for verb in (send, show, stats):
            add_json_option(verb)

    def handle(self, *args: Any, **options: Any) -> None:
        {"send": self._send, "show": self._show, "stats": self._stats}[options["verb"]](options)

    def _send(self, options: dict[str, Any]) -> None:
        accepted = enqueue(**_message(options))
        answer = {"id": accepted.message_id, "status": accepted.status, "service": accepted.service}
        if options["json"]:
            self.say_json(answer | {"duplicate": accepted.duplicate})
        elif accepted.duplicate:
            self.say(f"Message {accepted.message_id} had been accepted before with this idempotency key.")
        else:
            self.say(f"Accepted as message {accepted.message_id}. See it: manage.py outbox show {accepted.message_id}")

    def _show(self, options: dict[str, Any]) -> None:
        detail = message_detail(options["id"])
        body = _body(detail.message) if options["body"] else {}
        if options["json"]:
            self.say_json(of_detail(detail) | body)
        else:
            self._show_text(detail, body)

    def _show_text(self, detail: MessageDetail, body: dict[str, Any]) -> None:
        message = detail.message
        self.say(f"Message {message.pk} ({message.wire_id}) to {message.service_id}: {message.status}")
        self.say(detail.why)
        for name in ("recipient", "subject", "tenant_id", "ordering_key", "idempotency_key"):
            if getattr(message, name):
                self.say(f"{name.replace('_', ' ')}: {getattr(message, name)}")
        for name, value in body.items():
            self.say(f"{name.replace('_', ' ')}: {value}")
        if detail.attempts:
            self.say()
            rows = [
                (a.number, f"{a.started_at:%F %T}", f"{a.duration_ms} ms", a.outcome, a.error) for a in detail.attempts
            ]
            self.say_table(("attempt", "started (UTC)", "took", "outcome", "error"), rows)

    def _stats(self, options: dict[str, Any]) -> None:
        if not 1 <= options["minutes"] <= 1440:
            raise Invalid.field("--minutes", "must be from 1 to 1440")
        waiting, figures, letters = backlog(), figures_by_service(minutes=options["minutes"]), open_letters()
        names = sorted({*Service.objects.values_list("name", flat=True), *waiting, *figures, *letters})
        none = ServiceFigures(options["minutes"])
        found = {name: (waiting.get(name, Backlog()), figures.get(name, none), letters.get(name, 0)) for name in names}
        if options["json"]:
            self.say_json({name: asdict(b) | asdict(f) | {"dead_letters": d} for name, (b, f, d) in found.items()})
            return
        header = ("service", "waiting", "sending", "sent", "failed", "success", "p95", "dead letters")
        self.say(f"Deliveries of the last {options['minutes']} minutes:")
        self.say_table(header, [_stats_row(name, *row) for name, row in found.items()])


def _stats_row(name: str, waits: Backlog, figures: ServiceFigures, letters: int) -> tuple[Any, ...]:
    rate = "-" if figures.success_rate is None else f"{100 * figures.success_rate:.1f} %"
    p95 = "-" if figures.p95_ms is None else f"{figures.p95_ms:.0f} ms"
    return name, waits.waiting, waits.sending, figures.sent, figures.failed, rate, p95, letters


def _message(options: dict[str, Any]) -> dict[str, Any]:
    fields = {name.replace("-", "_"): options[name.replace("-", "_")] for name in TEXTS}
    for name in ("send_after", "expires_at"):
        fields[name] = _time(name, fields[name])
    fields["payload"] = sys.stdin.read() if fields["payload"] == "-" else fields["payload"] or None
    if options["body_json"] is not None:
        fields["json"] = _json("--body-json", options["body_json"])
    if options["data"] is not None:
        fields["body_data"] = _json("--data", options["data"])
    fields["headers"] = dict(_header(text) for text in options["header"])
    numbers = {"priority": options["priority"], "max_attempts": options["max_attempts"]}
    return {"service": options["service"], "source": "cli", **fields, **numbers}


def _json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Invalid.field(option, f"is not JSON: {error}") from None


def _time(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or timezone.is_naive(found):
        raise Invalid.field(f"--{name.replace('_', '-')}", "must be a time with its zone, such as 2026-01-31T09:00:00Z")
    return found


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise Invalid.field("--header", f"{text!r} is not NAME:VALUE")
    return name.strip(), value.strip()


def _body(message: Message) -> dict[str, Any]:
    names = ("payload", "json", "body_template", "body_data", "template", "content_type", "headers")
    return {name: getattr(message, name) for name in names if getattr(message, name)}
