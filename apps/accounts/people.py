"""Changes to people's log-ins beyond their role: invitations, password links, second factors, profiles."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.models import PasswordLink, User
from apps.accounts.services import new_person
from apps.accounts.sessions import end_all
from apps.audit.services import changed_fields, record
from apps.core import actor as may
from apps.core import clock
from apps.core.actor import Actor, require
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.language import is_time_zone

LINK_LIVES: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class NewLink:
    """``token`` is not stored and cannot be shown again."""

    person: User
    token: str
    expires_at: datetime


@transaction.atomic
def invite(*, email: str, role: str, actor: Actor, name: str = "") -> NewLink:
    """Make a person without a password, and the link by which they set one. Errors as of create_person."""
    require(actor, may.PEOPLE_MANAGE)
    person = new_person(email=email, role=role, name=name, password=None, actor=actor)
    return _new_link(person, actor)


@transaction.atomic
def make_password_link(*, email: str, actor: Actor) -> NewLink:
    """A link by which a person sets a new password. It ends any link before; the password stays until it is used."""
    require(actor, may.PEOPLE_MANAGE)
    person = _locked(email)
    if not person.is_active:
        raise Conflict(_("{email} may not log in; let them in again first.").format(email=person.email))
    return _new_link(person, actor)


def _new_link(person: User, actor: Actor) -> NewLink:
    token = secrets.token_urlsafe(32)
    expires_at = clock.now() + LINK_LIVES
    PasswordLink.objects.update_or_create(
        person=person,
        defaults={
            "token_hash": _digest(token),
            "created_by": str(actor)[:200],
            "created_at": clock.now(),
            "expires_at": expires_at,
        },
    )
    record(
        actor=actor,
        action="person.link_made",
        target=f"person:{person.email}",
        after={"expires_at": expires_at.isoformat()},
    )
    return NewLink(person, token, expires_at)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def link_of(token: str) -> PasswordLink:
    """The live link of ``token``; raises NotFound that tells nothing about why."""
    link = PasswordLink.objects.select_related("person").filter(token_hash=_digest(token)).first()
    if link is None or link.expires_at <= clock.now() or not link.person.is_active:
        raise NotFound(_("This link is used, has expired or was replaced by a newer one. Ask an admin for another."))
    return link


@transaction.atomic
def use_password_link(*, token: str, password: str, ip: str = "") -> User:
    """Set a password by a link, once; every session of the person ends. Raises NotFound, Invalid."""
    person = User.objects.select_for_update().get(pk=link_of(token).person_id)
    link = link_of(token)
    _check_password(password, person)
    person.set_password(password)
    person.save(update_fields=["password"])
    link.delete()
    ended = end_all(person)
    record(
        actor=person.as_actor(ip),
        action="person.password_set",
        target=f"person:{person.email}",
        after={"by": "link", "link_made_by": link.created_by, "sessions_ended": ended},
    )
    return person


def _check_password(password: str, person: User) -> None:
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise Invalid.fields([{"field": "password1", "message": text} for text in error.messages]) from None


@transaction.atomic
def reset_second_factor(*, email: str, actor: Actor, reason: str = "") -> User:
    """Forget every app, passkey and recovery code of a person, for somebody who lost them; their sessions end."""
    require(actor, may.PEOPLE_MANAGE)
    person = _locked(email)
    rows = Authenticator.objects.filter(user_id=person.pk)
    types = sorted(str(row.type) for row in rows)
    if not types:
        raise Conflict(_("{email} has no second factor.").format(email=person.email))
    rows.delete()
    record(
        actor=actor,
        action="person.factors_reset",
        target=f"person:{person.email}",
        before={"factors": types},
        after={"factors": [], "sessions_ended": end_all(person)},
        reason=reason,
    )
    return person


@transaction.atomic
def unlink_identity(*, email: str, actor: Actor) -> User:
    """Forget which identity of the provider a person is, for somebody who got a new account there."""
    require(actor, may.PEOPLE_MANAGE)
    person = _locked(email)
    gone, _detail = SocialAccount.objects.filter(user_id=person.pk).delete()
    if not gone:
        raise Conflict(_("{email} has never logged in through the provider.").format(email=person.email))
    record(actor=actor, action="person.identity_unlinked", target=f"person:{person.email}")
    return person


@transaction.atomic
def end_sessions_of(*, email: str, actor: Actor, reason: str = "") -> int:
    """Log a person out everywhere. Answers in how many browsers that was."""
    require(actor, may.PEOPLE_MANAGE)
    person = _locked(email)
    ended = end_all(person)
    record(
        actor=actor,
        action="person.sessions_ended",
        target=f"person:{person.email}",
        after={"sessions_ended": ended},
        reason=reason,
    )
    return ended


@transaction.atomic
def update_profile(*, person: User, changes: dict[str, Any], ip: str = "") -> User:
    """What a person may change about themselves: name, language, time zone. Raises Invalid."""
    _check_profile(changes)
    before = {name: getattr(person, name) for name in changes}
    old, new = changed_fields(before, changes)
    if not new:
        return person
    for name, value in new.items():
        setattr(person, name, value)
    person.save(update_fields=list(new))
    record(
        actor=person.as_actor(ip),
        action="person.profile_changed",
        target=f"person:{person.email}",
        before=old,
        after=new,
    )
    return person


def _check_profile(changes: dict[str, Any]) -> None:
    unknown = set(changes) - {"name", "language", "time_zone"}
    if unknown:
        raise Invalid.field(min(unknown), _("cannot be changed here"))
    language, zone = changes.get("language", ""), changes.get("time_zone", "")
    if language and language not in dict(settings.LANGUAGES):
        raise Invalid.field("language", _("{language} is not a language of the portal").format(language=repr(language)))
    if zone and not is_time_zone(zone):
        raise Invalid.field("time_zone", _("{zone} is not a time zone").format(zone=repr(zone)))


def _locked(email: str) -> User:
    person = User.objects.select_for_update().filter(email=email.strip().lower()).first()
    if person is None:
        raise NotFound(_("There is no operator {email}.").format(email=email))
    return person
