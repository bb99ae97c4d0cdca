"""Can everybody be told who should be? Routes that would reach nobody now, before an alert finds it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from apps.alerts.models import Rotation
from apps.alerts.policies import in_force
from apps.alerts.reaching import NEEDS_RECIPIENT, who
from apps.alerts.routing import Route, Routing
from apps.services.models import Service


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a target is out of reach. ``kind`` is no_service, no_recipient, no_rotation, nobody_on_call or no_owner;
    ``name`` is of the service or rotation that is meant.
    """

    target: str
    kind: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """A route none of whose targets can be reached."""

    route: str
    problems: tuple[Problem, ...]


def gaps(services: Iterable[Service], now: datetime) -> list[Gap]:
    """The routes in force that would tell nobody at ``now``."""
    _version, routing = in_force()
    look = _Look(now, routing, {service.pk: service for service in services})
    return [gap for route in routing.routes if (gap := look.gap(route)) is not None]


@dataclass(slots=True)
class _Look:
    now: datetime
    routing: Routing
    services: Mapping[str, Service]

    def gap(self, route: Route) -> Gap | None:
        names = list(dict.fromkeys(name for step in route.steps for name in step.notify))
        problems = [problem for name in names if (problem := self.problem(name)) is not None]
        return Gap(route.name, tuple(problems)) if len(problems) == len(names) else None

    def problem(self, name: str) -> Problem | None:
        target = self.routing.targets[name]
        if target.owner:
            return self._owner(name)
        if target.rotation:
            return self._rotation(name, target.rotation)
        return self._service(name, target.service, target.recipient)

    def _service(self, target: str, service: str, recipient: str) -> Problem | None:
        known = self.services.get(service)
        if known is None:
            return Problem(target, "no_service", service)
        return Problem(target, "no_recipient", service) if known.channel in NEEDS_RECIPIENT and not recipient else None

    def _rotation(self, target: str, name: str) -> Problem | None:
        rotation = Rotation.objects.filter(pk=name).first()
        if rotation is None:
            return Problem(target, "no_rotation", name)
        person = who(rotation, self.now)
        if person is None:
            return Problem(target, "nobody_on_call", name)
        return self._service(target, rotation.service, person.get("recipient", ""))

    def _owner(self, target: str) -> Problem | None:
        """An owner is somebody else for each alert: one that can be reached is enough."""
        owners = {service.owner for service in self.services.values()} - {""}
        ways = [self.routing.owners[owner] for owner in owners if owner in self.routing.owners]
        reached = any(not self.routing.targets[way].owner and self.problem(way) is None for way in ways)
        return None if reached else Problem(target, "no_owner")
