"""``manage.py rotate_encryption``: after a new key was put first in ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from apps.core.cli import PortalCommand, add_json_option
from apps.services.encryption import rotate_encryption


class Command(PortalCommand):
    help = "Re-encrypt every secret with the first of ENCRYPTION_KEYS, so that older keys can be removed."

    def add_arguments(self, parser: CommandParser) -> None:
        add_json_option(parser)

    def handle(self, *_: Any, json: bool, **__: Any) -> None:
        counts = rotate_encryption(actor=self.actor())
        if json:
            self.say_json(counts)
            return
        for table, count in counts.items():
            self.say(f"{table}: {count} rows re-encrypted with the first of ENCRYPTION_KEYS.")
        self.say("Keys after the first can now be removed from ENCRYPTION_KEYS, in every process.")
