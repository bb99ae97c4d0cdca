"""``manage.py seed_demo``: a bad night, made up, to look at pages that would otherwise be empty."""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from apps.console.demo import (
    alerting,
    audited,
    counted,
    incidents,
    messages,
    on_call,
    postmortems,
    quieting,
    replaying,
    services,
    templates,
    traffic,
)
from apps.core.cli import PortalCommand
from apps.core.clock import now
from apps.core.errors import Conflict
from apps.outbox.models import Message


class Command(PortalCommand):
    help = "Fill the database with made-up services, messages, dead letters and breaker history."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--force", action="store_true", help="also into a database that has messages")
        parser.add_argument("--refresh", action="store_true", help="only make its workers look alive again")

    def handle(self, *_: Any, force: bool, refresh: bool, **__: Any) -> None:
        if refresh:
            services.refresh(now())
            traffic.go_on(now(), Random(7))  # noqa: S311  made-up data
            return
        if not force and Message.objects.exists():
            raise Conflict(
                "This database has messages already, and made-up ones among them would mislead. "
                "Use another DATA_DIR or DATABASE_URL, or --force if it is a playground."
            )
        self.say("Making up a bad night: services, messages, dead letters, breaker history ...")
        seed(now())
        self.say(f"Made {Message.objects.count():,} messages. midtrans is down, whatsapp is being tested.")


@transaction.atomic
def seed(moment: datetime, *, scale: float = 1.0) -> None:
    """All of it; the same ``moment`` gives the same data. ``scale`` makes less of it."""
    random = Random(7)  # noqa: S311  made-up data, nothing secret
    services.make_services()
    services.make_breakers(moment)
    services.refresh(moment)
    replaying.make_replay(moment, random, scale)
    messages.make_messages(moment, random, scale)
    templates.make_templates(moment)
    templates.use_templates()
    traffic.make_minutes(moment, random)
    counted.make_history(moment, random, scale)
    counted.make_versions(moment)
    on_call.make(moment)
    alerting.make(moment)
    quieting.make(moment)
    incidents.make(moment)
    postmortems.make(moment)
    audited.make_trail(moment)
