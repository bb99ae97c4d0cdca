"""From the name of a target to a service and a recipient, at the moment of telling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from apps.alerts.models import Episode, Rotation
from apps.alerts.rotations import Instead, Turn, on_call
from apps.alerts.routing import Target
from apps.services.models import Service

NEEDS_RECIPIENT = ("email", "whatsapp", "telegram")


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach somebody; ``problem`` says why nobody can be, and what to do about it."""

    service: str = ""
    recipient: str = ""
    channel: str = ""
    problem: str = ""


@dataclass(slots=True)
class Directory:
    """Services and rotations, each looked up once for a sweep."""

    now: datetime
    channels: dict[str, str] = field(default_factory=lambda: dict(Service.objects.values_list("pk", "channel")))
    _rotations: dict[str, Way] = field(default_factory=dict)
    _owners: dict[str, str] = field(default_factory=dict)

    def way(self, name: str, targets: Mapping[str, Target], owners: Mapping[str, str], episode: Episode) -> Way:
        target = targets[name]
        if target.owner:
            return self._owner(targets, owners, episode)
        if target.rotation:
            return self._on_call(target.rotation)
        return self._service(target.service, target.recipient, f"The target {name}")

    def _owner(self, targets: Mapping[str, Target], owners: Mapping[str, str], episode: Episode) -> Way:
        owner = self._owner_of(episode.service)
        if not owner:
            return Way(problem="The alert names no service with an owner (label service).")
        name = owners.get(owner, "")
        if not name or targets[name].owner:
            return Way(problem=f"No target is set for the owner {owner} (owners in the routing).")
        return self.way(name, targets, owners, episode)

    def _owner_of(self, service: str) -> str:
        if service and service not in self._owners:
            found = Service.objects.filter(pk=service).values_list("owner", flat=True).first()
            self._owners[service] = found or ""
        return self._owners.get(service, "")

    def _on_call(self, name: str) -> Way:
        if name not in self._rotations:
            self._rotations[name] = self._looked_up(name)
        return self._rotations[name]

    def _looked_up(self, name: str) -> Way:
        rotation = Rotation.objects.filter(pk=name).first()
        if rotation is None:
            return Way(problem=f"There is no rotation named {name}.")
        person = who(rotation, self.now)
        if person is None:
            return Way(problem=f"Nobody is on call in the rotation {name}.")
        return self._service(rotation.service, person.get("recipient", ""), f"{person['email']} of {name}")

    def _service(self, service: str, recipient: str, whose: str) -> Way:
        channel = self.channels.get(service)
        if channel is None:
            return Way(problem=f"{whose} is reached through {service}, which is no configured service.")
        if channel in NEEDS_RECIPIENT and not recipient:
            return Way(problem=f"{whose} has no recipient: set one in the routing.")
        return Way(service, recipient if channel not in ("pagerduty", "http") else "", channel)


def who(rotation: Rotation, now: datetime) -> dict[str, str] | None:
    """The person on call, with how to reach them."""
    people = {person["email"]: person for person in rotation.people}
    turn = Turn(list(people), rotation.days, rotation.at, rotation.zone, rotation.begins)
    overrides = list(rotation.overrides.filter(since__lte=now, until__gt=now).order_by("pk"))
    # Who stands in may come from outside; those who take turns are reached as the rotation says now.
    people = {each.person: {"email": each.person, "recipient": each.recipient} for each in overrides} | people
    instead = [Instead(each.person, each.since, each.until) for each in overrides]
    return people.get(on_call(turn, instead, now))
