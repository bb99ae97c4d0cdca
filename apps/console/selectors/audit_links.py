"""From the target of an entry to the page of what was acted upon, for those who may open it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from apps.accounts.models import User
from apps.core.actor import APIKEYS_MANAGE, PEOPLE_MANAGE

PERSON: Final = "person:"
KEY: Final = "apikey:"
# How targets begin -> the page of what follows.
PAGES: Final[Mapping[str, str]] = {
    "service:": "service",
    "template ": "template",
    "message ": "message",
    "dead letter ": "letter",
    "replay ": "replay",
    "triage ": "triage",
    "alert:": "alert",
    "actionitem:": "action-item",
    "alertsource:": "source",
    "alertdelivery:": "alert-delivery",
    "routing:": "routing-version",
    "rotation:": "rotation",
    "postmortem:": "postmortem",
    "incident:": "incident",
    "incidentrule:": "incident-rule",
}
# Whole targets, and what many things are called.
WHOLE: Final[Mapping[str, str]] = {"audit trail": "audit", "outbox": "outbox", "alert refusals": "sources"}
# What has no page: encryption keys are files and variables of the host.
WITHOUT_PAGE: Final = ("encryption keys",)
MANY_LETTERS: Final = " dead letters"
MANY_ALERTS: Final = " alerts"


@dataclass(frozen=True, slots=True)
class Links:
    """``people`` are the ids of the people among the targets; ``permissions`` those of who looks."""

    permissions: frozenset[str]
    people: Mapping[str, int]

    def url(self, target: str) -> str:
        """Empty when there is no page, or none that the reader may open."""
        if target.startswith(PERSON):
            number = self.people.get(target.removeprefix(PERSON))
            return _address("person", number) if number and PEOPLE_MANAGE in self.permissions else ""
        if target.startswith(KEY):
            query = urlencode({"q": target.removeprefix(KEY)})
            return f"{reverse('keys')}?{query}" if APIKEYS_MANAGE in self.permissions else ""
        return _shared(target)


def links_for(targets: Iterable[str], permissions: frozenset[str]) -> Links:
    """One question for all the people among ``targets``, and none when the reader may not see people."""
    emails = {text.removeprefix(PERSON) for text in targets if text.startswith(PERSON)}
    people: dict[str, int] = {}
    if emails and PEOPLE_MANAGE in permissions:
        people = dict(User.objects.filter(email__in=emails).values_list("email", "pk"))
    return Links(permissions, people)


def _shared(target: str) -> str:
    if target in WHOLE:
        return reverse(WHOLE[target])
    if target.endswith(MANY_LETTERS):
        return reverse("letters")
    if target.endswith(MANY_ALERTS):
        return reverse("alerts")
    for start, name in PAGES.items():
        if target.startswith(start):
            rest = target.removeprefix(start)
            return _address(name, int(rest) if rest.isdecimal() else rest)
    return ""


def _address(name: str, of: int | str) -> str:
    """Names that no page takes (an older release was less strict) lead nowhere."""
    try:
        return reverse(name, args=[of])
    except NoReverseMatch:
        return ""
