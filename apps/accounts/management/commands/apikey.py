"""``manage.py apikey create NAME --scope messages:write``; ``list``; ``revoke``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from apps.accounts.durations import parse_duration
from apps.accounts.models import ApiKey
from apps.accounts.scopes import SCOPES
from apps.accounts.services import create_key, revoke_key
from apps.core import clock
from apps.core.cli import PortalCommand, add_json_option


class Command(PortalCommand):
    help = "Make, list and revoke API keys."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a key; prints it once")
        create.add_argument("name")
        create.add_argument("--scope", action="append", default=[], help=f"repeatable: {', '.join(SCOPES)}")
        create.add_argument("--tenant", default="", help="the key acts for this tenant only")
        create.add_argument("--expires", default="", help="for example 90d or 12h; without it the key does not expire")
        create.add_argument("--rate", type=int, default=None, help="requests a minute")
        create.add_argument("--quiet", action="store_true", help="print the key alone on its line")
        revoke = verbs.add_parser("revoke", help="end a key for good")
        revoke.add_argument("name")
        revoke.add_argument("--reason", default="")
        for parser_ in (create, revoke, verbs.add_parser("list", help="list keys")):
            add_json_option(parser_)

    def handle(self, *_: Any, verb: str, **options: Any) -> None:
        getattr(self, f"handle_{verb}")(**options)

    def handle_create(
        self,
        *,
        name: str,
        scope: list[str],
        tenant: str,
        expires: str,
        rate: int | None,
        quiet: bool,
        json: bool,
        **_: Any,
    ) -> None:
        made = create_key(
            name=name,
            scopes=scope,
            tenant_id=tenant,
            expires_in=parse_duration(expires, field="--expires") if expires else None,
            rate_per_minute=rate,
            actor=self.actor(),
        )
        if quiet:
            self.say(made.raw)
        elif json:
            self.say_json({**shown(made.key), "key": made.raw})
        else:
            self.say(f"Made the API key {made.key.name} with {', '.join(made.key.scopes)}.")
            self.say("It is shown this once and stored only as a hash:")
            self.say(made.raw)

    def handle_revoke(self, *, name: str, reason: str, json: bool, **_: Any) -> None:
        key = revoke_key(name=name, actor=self.actor(), reason=reason)
        if json:
            self.say_json(shown(key))
        else:
            self.say(f"Revoked {key.name}. Every process refuses it within a few seconds.")

    def handle_list(self, *, json: bool, **_: Any) -> None:
        keys = list(ApiKey.objects.order_by("name"))
        if json:
            self.say_json([shown(key) for key in keys])
        elif keys:
            rows = [[k.name, k.prefix + "…", state(k), ",".join(k.scopes), k.tenant_id, k.last_used_at] for k in keys]
            self.say_table(["NAME", "KEY", "STATE", "SCOPES", "TENANT", "LAST USED"], rows)
        else:
            self.say("There is no API key yet. Make one: manage.py apikey create NAME --scope messages:write")


def state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= clock.now() else "active"


def shown(key: ApiKey) -> dict[str, Any]:
    """What may be shown of a key: never the key or its hash."""
    return {
        "name": key.name,
        "prefix": key.prefix,
        "state": state(key),
        "scopes": key.scopes,
        "tenant_id": key.tenant_id,
        "rate_per_minute": key.rate_per_minute,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }
