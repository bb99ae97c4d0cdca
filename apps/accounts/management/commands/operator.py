"""``manage.py operator create EMAIL --role lead``: make a log-in; ``list`` shows them."""

from __future__ import annotations

import sys
from typing import Any, Final

from django.core.management.base import CommandParser
from django.urls import reverse

from apps.accounts import people
from apps.accounts.models import User
from apps.accounts.roles import Role
from apps.accounts.services import change_person, create_person
from apps.core.cli import PortalCommand, add_json_option

ONE_PERSON: Final = {
    "password-link": "print a link, once, by which a person sets a new password",
    "reset-second-factor": "forget a person's app, passkeys and recovery codes",
    "unlink": "forget which identity of the OpenID Connect provider a person is",
}


class Command(PortalCommand):
    help = "Make and list the people who may log in."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a log-in; prints a random password once")
        create.add_argument("email")
        create.add_argument("--role", default=Role.OPERATOR.value, help=", ".join(Role.values))
        create.add_argument("--name", default="")
        create.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
        create.add_argument("--quiet", action="store_true", help="print the password alone, or nothing if you gave it")
        role = verbs.add_parser("role", help="change a person's role")
        role.add_argument("email")
        role.add_argument("role", help=", ".join(Role.values))
        for verb, text in ONE_PERSON.items():
            verbs.add_parser(verb, help=text).add_argument("email")
        add_json_option(verbs.add_parser("list", help="list people"))

    def handle(self, *_: Any, verb: str, **options: Any) -> None:
        getattr(self, f"handle_{verb.replace('-', '_')}")(**options)

    def handle_create(self, *, email: str, role: str, name: str, password_stdin: bool, quiet: bool, **_: Any) -> None:
        given = sys.stdin.readline().rstrip("\r\n") if password_stdin else ""
        made = create_person(email=email, role=role, name=name, password=given, actor=self.actor())
        if quiet:
            self.stdout.write("" if given else made.password, ending="" if given else "\n")
            return
        self.say(f"Made {made.user.email} ({made.user.role}).")
        if not given:
            self.say(f"Password, shown this once: {made.password}")

    def handle_role(self, *, email: str, role: str, **_: Any) -> None:
        user = change_person(email=email, changes={"role": role}, actor=self.actor())
        self.say(f"{user.email} is now {user.role}.")

    def handle_password_link(self, *, email: str, **_: Any) -> None:
        link = people.make_password_link(email=email, actor=self.actor())
        self.say(f"Shown this once, and good until {link.expires_at:%Y-%m-%d %H:%M} UTC. Behind the portal's address:")
        self.say(reverse("password-link", args=[link.token]))

    def handle_reset_second_factor(self, *, email: str, **_: Any) -> None:
        person = people.reset_second_factor(email=email, actor=self.actor())
        self.say(f"{person.email} has no second factor any more and is logged out everywhere.")

    def handle_unlink(self, *, email: str, **_: Any) -> None:
        person = people.unlink_identity(email=email, actor=self.actor())
        self.say(f"The next identity with the verified address {person.email} takes its place.")

    def handle_list(self, *, json: bool, **_: Any) -> None:
        found = list(User.objects.order_by("email"))
        if json:
            self.say_json(
                [{"email": p.email, "role": p.role, "active": p.is_active, "last_login": p.last_login} for p in found]
            )
        elif found:
            self.say_table(
                ["EMAIL", "ROLE", "ACTIVE"], [[p.email, p.role, "yes" if p.is_active else "no"] for p in found]
            )
        else:
            self.say("Nobody can log in yet. Make someone: manage.py operator create you@example.com --role lead")
