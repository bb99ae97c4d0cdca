"""``manage.py alertsource create NAME``; ``list``; ``rotate``; ``end-previous``; ``disable``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from apps.alerts import services
from apps.alerts.models import AlertSource, SourceKind
from apps.core.cli import PortalCommand, add_json_option

KINDS = [kind.value for kind in SourceKind if kind is not SourceKind.PORTAL]


class Command(PortalCommand):
    help = "Make, list, rotate and disable the sources of alerts."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a source; prints its token once")
        create.add_argument("--kind", choices=KINDS, default=KINDS[0])
        create.add_argument("--api-url", default="", help="of Alertmanager, such as http://alertmanager:9093")
        create.add_argument("--watchdog", default="Watchdog", help="alertname of the alert that always fires")
        rotate = verbs.add_parser("rotate", help="make a new token; the one before stays good")
        disable = verbs.add_parser("disable", help="refuse its posts")
        disable.add_argument("--reason", default="")
        for verb in (create, rotate, disable, verbs.add_parser("end-previous", help="only the newest token is good")):
            verb.add_argument("name")
        for verb in (create, rotate):
            verb.add_argument("--quiet", action="store_true", help="print the token alone on its line")
        for verb in (create, rotate, verbs.add_parser("list", help="list the sources")):
            add_json_option(verb)

    def handle(self, *_: Any, verb: str, **options: Any) -> None:
        getattr(self, f"handle_{verb.replace('-', '_')}")(**options)

    def handle_create(self, *, name: str, kind: str, api_url: str, watchdog: str, **options: Any) -> None:
        made = services.create_source(name=name, kind=kind, api_url=api_url, watchdog=watchdog, actor=self.actor())
        self._show(made, options)

    def handle_rotate(self, *, name: str, **options: Any) -> None:
        self._show(services.rotate_token(name=name, actor=self.actor()), options)

    def handle_end_previous(self, *, name: str, **_: Any) -> None:
        services.end_previous_token(name=name, actor=self.actor())
        self.say(f"Only the newest token of {name} is good now.")

    def handle_disable(self, *, name: str, reason: str, **_: Any) -> None:
        services.disable_source(name=name, actor=self.actor(), reason=reason)
        self.say(f"Posts of {name} are refused from now on.")

    def handle_list(self, *, json: bool, **_: Any) -> None:
        rows = [shown(source) for source in AlertSource.objects.all()]
        if json:
            self.say_json(rows)
        elif rows:
            self.say_table([name.upper() for name in rows[0]], [list(row.values()) for row in rows])
        else:
            self.say("There is no source of alerts yet. Make one: manage.py alertsource create NAME")

    def _show(self, made: services.NewToken, options: dict[str, Any]) -> None:
        if options["quiet"]:
            self.say(made.token)
        elif options["json"]:
            self.say_json({"source": made.source.name, "token": made.token})
        else:
            self.say(f"The token of {made.source.name}, shown this once: {made.token}")


def shown(source: AlertSource) -> dict[str, Any]:
    return {
        "name": source.name,
        "kind": source.kind,
        "last_post_at": source.last_post_at,
        "watchdog_at": source.watchdog_at,
        "blind_since": source.blind_since,
        "truncated": source.truncated,
        "quarantined": source.quarantined,
        "disabled_at": source.disabled_at,
    }
