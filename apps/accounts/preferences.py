"""How the pages look for a person: their own choice, which changes nothing for anybody else."""

from __future__ import annotations

from apps.accounts.models import User
from apps.core.errors import Invalid
from apps.core.language import is_language, is_time_zone


def choose_language(person: User, code: str) -> None:
    """Remember the language; empty asks the browser again."""
    if code and not is_language(code):
        raise Invalid.field("language", f"{code} is not a language of the portal.")
    person.language = code
    person.save(update_fields=["language"])


def choose_time_zone(person: User, name: str) -> None:
    """Remember the time zone; empty means UTC."""
    if name and not is_time_zone(name):
        raise Invalid.field("time_zone", f"{name} is not a time zone.")
    person.time_zone = name
    person.save(update_fields=["time_zone"])
