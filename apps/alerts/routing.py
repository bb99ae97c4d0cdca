"""Who is told of what, when: the routing document, and the route of an alert. Pure.

The document is kept in versions; a running escalation carries the part it began with, so an edit changes only
what begins after it. Seconds everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from apps.alerts.severity import ALIASES
from apps.core.errors import Invalid

MINUTE: Final = 60
SEVERITY: Final = "severity"
# The sender's own word, whatever we make of it; lower case.
SEVERITY_LABEL: Final = "severity_label"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(_Strict):
    """One who is told: a recipient of a service, whoever is on call, or the owner of the alert's service."""

    service: str = Field("", max_length=64)
    recipient: str = Field("", max_length=500)
    rotation: str = Field("", max_length=64)
    owner: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> Target:
        if sum((bool(self.service), bool(self.rotation), self.owner)) != 1:
            raise ValueError("a target is exactly one of service, rotation and owner")
        return self


class Step(_Strict):
    """``after`` the alert was first heard of, unless it is acknowledged, or only unless it is resolved."""

    after: int = Field(0, ge=0, le=7 * 24 * 3600)
    notify: list[str] = Field(min_length=1, max_length=20)
    unless: Literal["acknowledged", "resolved"] = "resolved"


class Route(_Strict):
    """The first route whose ``match`` holds is taken. A value may list several, or begin with ~ to be a pattern.

    ``severity`` may be given in our words or in those of senders; ``severity_label`` is what the sender wrote.
    """

    name: str = Field(min_length=1, max_length=64)
    match: dict[str, str | list[str]] = Field(default_factory=dict)
    steps: list[Step] = Field(min_length=1, max_length=20)
    tell_resolved: bool = True
    tell_acknowledged: bool = True

    @model_validator(mode="after")
    def _in_order(self) -> Route:
        if [step.after for step in self.steps] != sorted(step.after for step in self.steps):
            raise ValueError(f"the steps of {self.name} must be in the order of their time")
        for pattern in (given[1:] for given in self._texts() if given.startswith("~")):
            _pattern(pattern)
        return self

    def _texts(self) -> list[str]:
        return [text for given in self.match.values() for text in ([given] if isinstance(given, str) else given)]

    def matches(self, facts: Mapping[str, str]) -> bool:
        return all(_holds_of(name, given, facts) for name, given in self.match.items())


class Routing(_Strict):
    """The whole document. The last route takes what no other does, so nothing is dropped."""

    targets: dict[str, Target] = Field(max_length=200)
    owners: dict[str, str] = Field(default_factory=dict, max_length=500)
    routes: list[Route] = Field(min_length=1, max_length=200)

    @model_validator(mode="after")
    def _whole(self) -> Routing:
        if self.routes[-1].match:
            raise ValueError("the last route must match everything: leave its match empty")
        if len({route.name for route in self.routes}) != len(self.routes):
            raise ValueError("two routes have one name")
        named = {name for route in self.routes for step in route.steps for name in step.notify}
        unknown = sorted((named | set(self.owners.values())) - set(self.targets))
        if unknown:
            raise ValueError(f"there is no target named {', '.join(unknown)}. Known: {', '.join(sorted(self.targets))}")
        return self

    def route_of(self, facts: Mapping[str, str]) -> Route:
        """The first route that matches ``facts``: an alert's labels, with ``severity`` in our words and ``source``."""
        return next(route for route in self.routes if route.matches(facts))


def _holds_of(name: str, given: str | list[str], facts: Mapping[str, str]) -> bool:
    """What senders call a severity stands for ours (``P1``, ``page`` and ``Critical`` for critical ones); a word that
    stands for none is compared with what the sender wrote, so no route waits for what can never come.
    """
    if name != SEVERITY:
        return _holds(given, facts.get(name, ""))
    ours, written = facts.get(SEVERITY, ""), facts.get(SEVERITY_LABEL, "")
    texts = [given] if isinstance(given, str) else given
    words = [text if text.startswith("~") else text.strip().lower() for text in texts]
    known = [str(ALIASES.get(word, word)) for word in words]
    return _holds(known, ours) or _holds([word for word in words if word not in ALIASES], written)


def _pattern(text: str) -> re.Pattern[str]:
    if len(text) > 200:
        raise ValueError("a pattern may have 200 characters")
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"~{text} is no pattern: {error}") from None


def _holds(given: str | list[str], value: str) -> bool:
    texts = [given] if isinstance(given, str) else given
    return any(_pattern(t[1:]).fullmatch(value[:1000]) is not None if t.startswith("~") else t == value for t in texts)


def parsed(document: Any) -> Routing:
    """Raises :class:`Invalid` naming each field."""
    try:
        return Routing.model_validate(document)
    except ValidationError as error:
        problems = [
            {"field": ".".join(map(str, found["loc"])) or "routing", "message": found["msg"]}
            for found in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise Invalid.fields(problems) from None


# product.md: critical to PagerDuty and Slack #alerts, warning to Slack, notice and info to e-mail, security to
# #security-alerts, the rest to a visible default. Critical: again after 10 minutes without an acknowledgement; after 30
# minutes without an end to the CTO and the owner of the service.
DEFAULT: Final[dict[str, Any]] = {
    "targets": {
        "pagerduty": {"service": "pagerduty"},
        "alerts": {"service": "slack", "recipient": "#alerts"},
        "security": {"service": "slack", "recipient": "#security-alerts"},
        "management": {"service": "smtp", "recipient": ""},
        "cto": {"service": "smtp", "recipient": ""},
        "owner": {"owner": True},
    },
    "owners": {},
    "routes": [
        {
            "name": "security",
            "match": {"severity": "security"},
            "steps": [{"after": 0, "notify": ["security"]}],
        },
        {
            "name": "critical",
            "match": {"severity": "critical"},
            "steps": [
                {"after": 0, "notify": ["pagerduty", "alerts"]},
                {"after": 10 * MINUTE, "notify": ["pagerduty", "alerts"], "unless": "acknowledged"},
                {"after": 30 * MINUTE, "notify": ["cto", "owner"], "unless": "resolved"},
            ],
        },
        {"name": "warning", "match": {"severity": "warning"}, "steps": [{"after": 0, "notify": ["alerts"]}]},
        {
            "name": "by-mail",
            "match": {"severity": ["notice", "info"]},
            "steps": [{"after": 0, "notify": ["management"]}],
        },
        {"name": "default", "match": {}, "steps": [{"after": 0, "notify": ["alerts"]}]},
    ],
}
