"""The routing as pages show it: in words, who would be reached, its versions, and what differs between two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.alerts.dry_run import Planned, Reached, plan
from apps.alerts.models import RoutingVersion
from apps.alerts.policies import in_force
from apps.alerts.routing import DEFAULT, Routing
from apps.console.selectors.dry_running import Ways, problem_words, shown_recipient
from apps.core import human
from apps.core.pagination import Page, page_by_id
from apps.services.versions import Difference

UNLESS: Final[Mapping[str, str | Promise]] = {
    "acknowledged": gettext_lazy("unless it is acknowledged by then"),
    "resolved": gettext_lazy("unless it is resolved by then"),
}


@dataclass(frozen=True, slots=True)
class ReachView:
    """A target and who it leads to now; ``problem`` in words when it leads to nobody."""

    target: str
    service: str
    who: str
    person: bool
    problem: str
    later: bool = False


@dataclass(frozen=True, slots=True)
class StepView:
    when: str
    unless: str
    reached: list[ReachView]

    @property
    def nobody(self) -> bool:
        return all(each.problem and not each.later for each in self.reached)


@dataclass(frozen=True, slots=True)
class RouteView:
    """``match`` are pairs of a label and what it must be; empty takes whatever is left."""

    name: str
    match: list[tuple[str, str]]
    steps: list[StepView]
    tell_resolved: bool

    @property
    def nobody(self) -> bool:
        return all(step.nobody for step in self.steps)


@dataclass(frozen=True, slots=True)
class RoutingView:
    """``version`` None: the shipped document; ``unreadable``: the newest could not be read by this release."""

    version: RoutingVersion | None
    routes: list[RouteView]
    owners: list[tuple[str, str, list[str]]]
    nobody: list[str]
    unreadable: int | None


def routing_view(now: datetime, *, clear: bool) -> RoutingView:
    version, routing = in_force()
    newest = RoutingVersion.objects.order_by("-pk").first() if version is None else None
    ways = Ways.load()
    routes = routes_of(routing, ways, now, clear=clear)
    owners = [
        (owner, target, sorted(name for name, whose in ways.owner_of.items() if whose == owner))
        for owner, target in sorted(routing.owners.items())
    ]
    return RoutingView(version, routes, owners, [r.name for r in routes if r.nobody], newest.pk if newest else None)


def routes_of(routing: Routing, ways: Ways, now: datetime, *, clear: bool) -> list[RouteView]:
    return [
        RouteView(
            route.name,
            [(label, _match_words(given)) for label, given in route.match.items()],
            [step_view(step, clear=clear, any_owner=True) for step in plan(routing, route, {}, ways, now)],
            route.tell_resolved,
        )
        for route in routing.routes
    ]


def _match_words(given: str | list[str]) -> str:
    texts = [given] if isinstance(given, str) else given
    words = [_("like {pattern}").format(pattern=text[1:]) if text.startswith("~") else text for text in texts]
    return _(" or ").join(words)


def step_view(step: Planned, *, clear: bool, any_owner: bool = False) -> StepView:
    return StepView(
        when=_("at once") if step.after == 0 else _("after {span}").format(span=human.span(step.after)),
        unless=str(UNLESS[step.unless]) if step.after else "",
        reached=[reach_view(each, clear=clear, any_owner=any_owner) for each in step.reached],
    )


def reach_view(reached: Reached, *, clear: bool, any_owner: bool = False) -> ReachView:
    """``any_owner``: no alert is meant, so that an owner is somebody else for each is no problem."""
    later = any_owner and reached.problem == "no_owner" and not reached.missing
    return ReachView(
        target=reached.target,
        service=reached.service,
        who=reached.person or shown_recipient(reached.recipient, clear=clear),
        person=bool(reached.person),
        problem=_("whoever owns the alert’s service") if later else problem_words(reached),
        later=later,
    )


# --- versions --------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class VersionView:
    """``changes`` against the version before it; ``first`` for the first that was saved."""

    row: RoutingVersion
    changes: list[Difference]
    first: bool


def versions(*, cursor: int | None, clear: bool, limit: int = 10) -> tuple[list[VersionView], Page[RoutingVersion]]:
    page = page_by_id(RoutingVersion.objects.all(), cursor=cursor, limit=limit)
    rows = page.items
    last = RoutingVersion.objects.filter(pk__lt=rows[-1].pk).order_by("-pk").first() if rows else None
    older = [*rows[1:], last]
    return [_version(row, before, clear) for row, before in zip(rows, older, strict=False)], page


def _version(row: RoutingVersion, before: RoutingVersion | None, clear: bool) -> VersionView:
    first = before is None
    return VersionView(row, differences(before.document if before else DEFAULT, row.document, clear=clear), first)


def differences(before: Mapping[str, Any], after: Mapping[str, Any], *, clear: bool) -> list[Difference]:
    """Line by line: routes by their names, so that one put in between changes no other."""
    old, new = _flat(before, clear), _flat(after, clear)
    paths = [*old, *(path for path in new if path not in old)]
    return [Difference(path, old.get(path), new.get(path)) for path in paths if old.get(path) != new.get(path)]


def _flat(document: Mapping[str, Any], clear: bool) -> dict[str, str]:
    """In words of the document; older releases may have written what this one cannot read, so nothing is assumed."""
    found: dict[str, str] = {}
    for name, target in _items(document.get("targets")):
        for key, value in _items(target):
            text = str(value)
            found[f"targets.{name}.{key}"] = shown_recipient(text, clear=clear) if key == "recipient" else text
    for owner, target in _items(document.get("owners")):
        found[f"owners.{owner}"] = str(target)
    routes = [route for route in document.get("routes") or [] if isinstance(route, dict)]
    found["routes"] = ", ".join(str(route.get("name")) for route in routes)
    for route in routes:
        found |= _flat_route(route)
    return found


def _items(given: object) -> list[tuple[str, Any]]:
    return [(str(key), value) for key, value in given.items()] if isinstance(given, dict) else []


def _flat_route(route: Mapping[str, Any]) -> dict[str, str]:
    at = f"routes.{route.get('name')}"
    found = {f"{at}.match.{label}": _listed(given) for label, given in _items(route.get("match"))}
    for number, step in enumerate(route.get("steps") or []):
        if isinstance(step, dict):
            unless = step.get("unless") or "resolved"
            found[f"{at}.steps.{number}"] = (
                f"{step.get('after') or 0} s: {_listed(step.get('notify'))}, unless {unless}"
            )
    if route.get("tell_resolved") is False:
        found[f"{at}.tell_resolved"] = "false"
    return found


def _listed(given: object) -> str:
    return ", ".join(map(str, given)) if isinstance(given, list) else str(given)
