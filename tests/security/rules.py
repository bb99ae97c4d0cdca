"""What a rule of the matrix says, and the short ways to write one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

ANYONE: Final = "anyone"
PERSON: Final = "person"
NOBODY: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Rule:
    """``query`` is what a GET needs to show anything; ``sends`` what a POST needs to be understood."""

    get: str = NOBODY
    post: str = NOBODY
    query: str = ""
    sends: dict[str, str] = field(default_factory=dict)
    absent: bool = False


def look(permission: str, query: str = "") -> Rule:
    """A page."""
    return Rule(get=permission, query=query)


def own(rule: Rule) -> Rule:
    """Of something that this installation does not have (single sign-on is not set up): 404 is an answer too."""
    return replace(rule, absent=True)


def dialog(permission: str, query: str = "", **sends: str) -> Rule:
    """A form, and what it does."""
    return Rule(get=permission, post=permission, query=query, sends=sends)


def button(permission: str, **sends: str) -> Rule:
    """Only a POST."""
    return Rule(post=permission, sends=sends)
