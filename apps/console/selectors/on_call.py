"""Who is on call now, next, and in the weeks to come, as pages show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.alerts.models import Rotation, RotationOverride
from apps.alerts.on_call import instead_of, rotation_of, turn_of
from apps.alerts.policies import in_force
from apps.alerts.reaching import NEEDS_RECIPIENT
from apps.alerts.rotations import Instead, Shift, Turn, handed_over_at, schedule
from apps.alerts.shown import visible_line
from apps.console.marks import Mark
from apps.core.masking import mask_recipient
from apps.services.models import Service

WEEKS: Final = 4
AHEAD: Final = timedelta(weeks=WEEKS)
SHOWN: Final = 200
ON_CALL: Final = Mark("good", gettext_lazy("On call"))
NOBODY: Final = Mark("bad", gettext_lazy("Nobody"))


@dataclass(frozen=True, slots=True)
class ShiftView:
    """``override`` is what put the person there, if it was not their turn."""

    shift: Shift
    current: bool
    override: RotationOverride | None
    mine: bool


@dataclass(frozen=True, slots=True)
class PersonView:
    """Somebody who takes turns; ``begins`` is their next turn, None while it is theirs now."""

    email: str
    recipient: str
    current: bool
    problem: str


@dataclass(frozen=True, slots=True)
class RotationView:
    rotation: Rotation
    mark: Mark
    current: Shift
    following: Shift | None
    shifts: list[ShiftView]
    gaps: list[Shift]
    people: list[PersonView]
    overrides: list[RotationOverride]
    handed_over_at: datetime
    problem: str
    used: bool
    mine: bool

    @property
    def name(self) -> str:
        return self.rotation.name


def kept_overrides(rotations: QuerySet[Rotation], *, after: datetime | None = None) -> QuerySet[Rotation]:
    """With their overrides, those that ended before ``after`` left out."""
    rows = RotationOverride.objects.order_by("pk")
    if after is not None:
        rows = rows.filter(until__gt=after)
    return rotations.order_by("name").prefetch_related(Prefetch("overrides", queryset=rows))


def rotations(now: datetime, *, email: str, clear: bool) -> list[RotationView]:
    """``email`` is the reader's, ``clear``: with recipients unmasked."""
    return _views(kept_overrides(Rotation.objects.all(), after=now), now, email, clear)


def rotation_view(name: str, now: datetime, *, email: str, clear: bool) -> RotationView:
    """Raises NotFound."""
    rotation_of(name)
    return _views(kept_overrides(Rotation.objects.filter(pk=name), after=now), now, email, clear)[0]


def _views(rows: QuerySet[Rotation], now: datetime, email: str, clear: bool) -> list[RotationView]:
    channels = dict(Service.objects.values_list("pk", "channel"))
    _version, routing = in_force()
    used = {target.rotation for target in routing.targets.values() if target.rotation}
    return [_view(row, channels, now, email, clear, used=row.name in used) for row in rows]


def _view(
    rotation: Rotation, channels: Mapping[str, str], now: datetime, email: str, clear: bool, *, used: bool
) -> RotationView:
    turn, overrides = turn_of(rotation), list(rotation.overrides.all())
    shifts = schedule(turn, instead_of(overrides), now, now + AHEAD)
    current = shifts[0]
    return RotationView(
        rotation=rotation,
        mark=ON_CALL if current.person else NOBODY,
        current=current,
        following=shifts[1] if len(shifts) > 1 else None,
        shifts=[_shift(each, now, overrides, email) for each in shifts[:SHOWN]],
        gaps=[each for each in shifts if not each.person],
        people=_people(rotation, channels, current.person, clear),
        overrides=[each for each in overrides if each.until > now],
        handed_over_at=handed_over_at(turn, now),
        problem=_problem(rotation, channels, current.person, overrides),
        used=used,
        mine=bool(email) and current.person == email,
    )


def _shift(shift: Shift, now: datetime, overrides: list[RotationOverride], email: str) -> ShiftView:
    """The newest override that holds then is the one that counts."""
    found = None
    if shift.instead:
        holding = (each for each in reversed(overrides) if each.since <= shift.since < each.until)
        found = next(holding, None)
    return ShiftView(shift, shift.since <= now < shift.until, found, bool(email) and shift.person == email)


def _people(rotation: Rotation, channels: Mapping[str, str], current: str, clear: bool) -> list[PersonView]:
    needed = channels.get(rotation.service) in NEEDS_RECIPIENT
    return [
        PersonView(
            email=visible_line(person["email"], 254),
            recipient=recipient_words(person.get("recipient", ""), clear=clear),
            current=person["email"] == current,
            problem=_("no recipient") if needed and not person.get("recipient") else "",
        )
        for person in rotation.people
    ]


def recipient_words(text: str, *, clear: bool) -> str:
    return visible_line(text, 120) if clear else mask_recipient(text)


def _problem(rotation: Rotation, channels: Mapping[str, str], person: str, overrides: list[RotationOverride]) -> str:
    """Why whoever is on call would not be reached; empty when they would."""
    channel = channels.get(rotation.service)
    if channel is None:
        return _("{name} is no configured service: nobody of this rotation can be reached.").format(
            name=rotation.service
        )
    known = {each.person: each.recipient for each in overrides}
    known |= {each["email"]: each.get("recipient", "") for each in rotation.people}
    if person and channel in NEEDS_RECIPIENT and not known.get(person):
        return _("{person} has no recipient for {service}: they cannot be reached.").format(
            person=person, service=rotation.service
        )
    return ""


def turn_and_overrides(rotation: Rotation, now: datetime) -> tuple[Turn, list[Instead]]:
    return turn_of(rotation), instead_of(list(rotation.overrides.filter(until__gt=now)))
