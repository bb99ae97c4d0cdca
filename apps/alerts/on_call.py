"""Changes to who is on call. Each is one transaction with its audit row; who it concerns is named in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.alerts.models import Rotation, RotationOverride
from apps.alerts.policies import in_force
from apps.alerts.reaching import NEEDS_RECIPIENT
from apps.alerts.rotations import Instead, Turn
from apps.audit.services import record
from apps.core.actor import ALERTS_EDIT, ALERTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.masking import mask_recipient
from apps.services.models import Service

MAX_PEOPLE: Final = 50
MAX_DAYS: Final = 90
MAX_AWAY: Final = 3650
LONGEST: Final = timedelta(days=366)
TAKEN: Final = ("new",)
PEOPLE_FORM: Final = "ana@example.com, +628123456789"


@dataclass(frozen=True, slots=True)
class Person:
    """``recipient`` is what the rotation's service sends to; empty where the service itself is the way."""

    email: str
    recipient: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A rotation as a person writes it. ``first_day`` is the day, in ``zone``, on which the first one begins."""

    service: str
    people: Sequence[Person]
    days: int
    at: time
    zone: str
    first_day: datetime


def turn_of(rotation: Rotation) -> Turn:
    people = [person["email"] for person in rotation.people]
    return Turn(people, rotation.days, rotation.at, rotation.zone, rotation.begins)


def instead_of(overrides: Sequence[RotationOverride]) -> list[Instead]:
    """In the order in which they were made: the newest wins."""
    return [Instead(each.person, each.since, each.until) for each in sorted(overrides, key=lambda each: each.pk)]


# --- rotations ------------------------------------------------------------------------------------
@transaction.atomic
def create_rotation(*, name: str, plan: Plan, actor: Actor, reason: str = "") -> Rotation:
    """Raises Invalid naming each field, Conflict when the name is taken."""
    require(actor, ALERTS_EDIT)
    plain = name.replace("-", "").replace("_", "").isalnum() and name.isascii() and name not in TAKEN
    problems = [] if plain and len(name) <= 64 else [_problem("name", _("use letters, digits, - and _, up to 64"))]
    _check(plan, problems)
    rotation = Rotation(name=name, **_fields(plan))
    try:
        with transaction.atomic():
            rotation.save(force_insert=True)
    except IntegrityError:
        raise Conflict(_("There is already a rotation named {name}.").format(name=name)) from None
    record(actor=actor, action="rotation.created", target=f"rotation:{name}", after=_shown(rotation), reason=reason)
    return rotation


@transaction.atomic
def change_rotation(*, name: str, plan: Plan, actor: Actor, reason: str, seen_version: int) -> Rotation:
    """Raises Invalid naming each field, Conflict when somebody changed it since ``seen_version``."""
    require(actor, ALERTS_EDIT)
    rotation = _held(name)
    if rotation.version != seen_version:
        raise Conflict(_("Somebody has changed {name} since this page was opened. Look at it again.").format(name=name))
    _check(plan, [] if reason.strip() else [_problem("reason", _("say why: it goes into the audit trail"))])
    before = _shown(rotation)
    for field, value in _fields(plan).items():
        setattr(rotation, field, value)
    rotation.version += 1
    rotation.save()
    record(
        actor=actor,
        action="rotation.changed",
        target=f"rotation:{name}",
        before=before,
        after=_shown(rotation),
        reason=reason,
    )
    return rotation


@transaction.atomic
def remove_rotation(*, name: str, actor: Actor, reason: str) -> None:
    """Raises Conflict while the routing in force names it: its pages would reach nobody."""
    require(actor, ALERTS_EDIT)
    rotation = _held(name)
    _version, routing = in_force()
    named = sorted(target for target, way in routing.targets.items() if way.rotation == name)
    if named:
        text = _("The routing reaches {targets} through {name}. Change the routing first, then remove it.")
        raise Conflict(text.format(targets=", ".join(named), name=name))
    record(actor=actor, action="rotation.removed", target=f"rotation:{name}", before=_shown(rotation), reason=reason)
    rotation.delete()


def _check(plan: Plan, problems: list[dict[str, str]]) -> None:
    channel = Service.objects.filter(pk=plan.service).values_list("channel", flat=True).first()
    if channel is None:
        problems.append(_problem("service", _("there is no service named {name}").format(name=plan.service)))
    problems += _people_problems(plan.people, needed=channel in NEEDS_RECIPIENT)
    if not 1 <= plan.days <= MAX_DAYS:
        problems.append(_problem("days", _("must be from 1 to {most}").format(most=MAX_DAYS)))
    if abs((plan.first_day.date() - database_now().date()).days) > MAX_AWAY:
        problems.append(_problem("first_day", _("must be within ten years of today")))
    if not is_zone(plan.zone):
        problems.append(_problem("zone", _("is no time zone: take one such as Asia/Jakarta or UTC")))
    if problems:
        raise Invalid.fields(problems)


def _people_problems(people: Sequence[Person], *, needed: bool) -> list[dict[str, str]]:
    emails = [person.email for person in people]
    if not people:
        return [_problem("people", _("name at least one: without people nobody is on call"))]
    if len(people) > MAX_PEOPLE:
        return [_problem("people", _("{most} people are the most").format(most=MAX_PEOPLE))]
    if len(set(emails)) != len(emails):
        return [_problem("people", _("somebody is named twice"))]
    return [problem for person in people for problem in _person_problems("people", person, needed=needed)]


def _person_problems(field: str, person: Person, *, needed: bool) -> list[dict[str, str]]:
    if "@" not in person.email or len(person.email) > 254 or not person.email.isprintable() or " " in person.email:
        return [_problem(field, _("“{text}” is no e-mail address").format(text=person.email[:80]))]
    if len(person.recipient) > 500 or not person.recipient.isprintable():
        return [_problem(field, _("the recipient of {email} is too long").format(email=person.email))]
    if needed and not person.recipient:
        text = _("say how {email} is reached, behind a comma: {example}")
        return [_problem(field, text.format(email=person.email, example=PEOPLE_FORM))]
    return []


def is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return bool(name)


def _fields(plan: Plan) -> dict[str, Any]:
    begins = datetime.combine(plan.first_day.date(), plan.at, ZoneInfo(plan.zone)).astimezone(UTC)
    people = [{"email": person.email, "recipient": person.recipient} for person in plan.people]
    return {
        "service": plan.service,
        "people": people,
        "days": plan.days,
        "at": plan.at,
        "zone": plan.zone,
        "begins": begins,
    }


def _shown(rotation: Rotation) -> dict[str, Any]:
    """For the trail: who, and enough of how they are reached to see that it changed."""
    people = [f"{each['email']} ({mask_recipient(each.get('recipient', ''))})" for each in rotation.people]
    return {
        "service": rotation.service,
        "people": people,
        "days": rotation.days,
        "at": rotation.at.strftime("%H:%M"),
        "zone": rotation.zone,
        "begins": rotation.begins.isoformat(),
    }


# --- overrides ------------------------------------------------------------------------------------
@transaction.atomic
def put_instead(
    *,
    name: str,
    person: Person,
    since: datetime | None,
    until: datetime,
    actor: Actor,
    reason: str,
) -> RotationOverride:
    """``person`` is on call instead, from now when ``since`` is None or past. Somebody who takes turns needs no
    recipient. Raises Invalid naming each field.
    """
    require(actor, ALERTS_WORK)
    rotation, now = _held(name), database_now()
    begins = max(since or now, now)
    known = {each["email"]: each.get("recipient", "") for each in rotation.people}
    problems = _span_problems(begins, until, now)
    if not reason.strip():
        problems.append(_problem("reason", _("say why: it goes into the audit trail")))
    if person.email not in known:
        channel = Service.objects.filter(pk=rotation.service).values_list("channel", flat=True).first()
        problems += _person_problems("person", person, needed=channel in NEEDS_RECIPIENT)
    if problems:
        raise Invalid.fields(problems)
    override = RotationOverride.objects.create(
        rotation=rotation,
        person=person.email,
        # Kept also of somebody who takes turns: they may be taken out of the rotation meanwhile.
        recipient=known.get(person.email) or person.recipient,
        since=begins,
        until=until,
        reason=reason.strip()[:2000],
        created_by=str(actor)[:200],
    )
    after = {"person": person.email, "since": begins.isoformat(), "until": until.isoformat()}
    record(actor=actor, action="rotation.overridden", target=f"rotation:{name}", after=after, reason=reason)
    return override


def _span_problems(since: datetime, until: datetime, now: datetime) -> list[dict[str, str]]:
    if until.tzinfo is None or until <= now:
        return [_problem("until", _("must be a time in the future"))]
    if until <= since:
        return [_problem("until", _("must be after the beginning"))]
    if until - since > LONGEST or since - now > LONGEST:
        return [_problem("until", _("a year is the most; change the rotation for longer"))]
    return []


@transaction.atomic
def end_instead(*, name: str, override_id: int, actor: Actor, reason: str = "") -> RotationOverride:
    """Whoever's turn it is, is on call again from now on. Raises Conflict when it has ended already."""
    require(actor, ALERTS_WORK)
    _held(name)
    override = RotationOverride.objects.select_for_update().filter(pk=override_id, rotation=name).first()
    if override is None:
        raise NotFound(_("There is no such override of {name}.").format(name=name))
    now = database_now()
    if override.until <= now:
        raise Conflict(_("It has ended already."))
    before = {"person": override.person, "since": override.since.isoformat(), "until": override.until.isoformat()}
    # One that has not begun leaves nothing behind that could ever hold.
    override.since, override.until = min(override.since, now), now
    override.save(update_fields=["since", "until"])
    record(
        actor=actor,
        action="rotation.override_ended",
        target=f"rotation:{name}",
        before=before,
        after={"until": now.isoformat()},
        reason=reason,
    )
    return override


def rotation_of(name: str) -> Rotation:
    found = Rotation.objects.filter(pk=name).first()
    if found is None:
        raise NotFound(_("There is no rotation named {name}.").format(name=name))
    return found


def _held(name: str) -> Rotation:
    found = Rotation.objects.select_for_update().filter(pk=name).first()
    return found if found is not None else rotation_of(name)


def _problem(field: str, message: str) -> dict[str, str]:
    return {"field": field, "message": message}
