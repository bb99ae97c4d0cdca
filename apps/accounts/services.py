"""Changes to people and API keys. Each is one transaction with its audit row."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.accounts import api_keys
from apps.accounts.models import ApiKey, PasswordLink, User
from apps.accounts.roles import Role
from apps.accounts.scopes import check_scopes
from apps.accounts.sessions import end_all
from apps.audit.services import record
from apps.core import actor as may
from apps.core import clock
from apps.core.actor import Actor, require
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from apps.core.human import exact


@dataclass(frozen=True, slots=True)
class NewPerson:
    """``password`` is what was set; show it once and forget it."""

    user: User
    password: str


@transaction.atomic
def create_person(*, email: str, role: str, actor: Actor, password: str = "", name: str = "") -> NewPerson:
    """Make a log-in; without a password a random one is made.

    Raises Invalid for a bad address or role, Conflict when the address is taken.
    """
    if password and len(password) < 8:
        raise Invalid.field("password", _("use at least 8 characters"))
    password = password or secrets.token_urlsafe(12)
    return NewPerson(new_person(email=email, role=role, name=name, password=password, actor=actor), password)


@transaction.atomic
def new_person(*, email: str, role: str, actor: Actor, password: str | None, name: str = "") -> User:
    """A person and their audit row; without a password they cannot log in with one. Errors as of create_person."""
    require(actor, may.PEOPLE_MANAGE)
    address = _checked_email(email)
    if role not in Role.values:
        raise Invalid.field(
            "role", _("{role} is not a role. Known: {known}").format(role=repr(role), known=", ".join(Role.values))
        )
    if User.objects.filter(email=address).exists():
        raise Conflict(_("There is already an operator {address}.").format(address=address), detail={"email": address})
    user = User.objects.create_user(address, password, role=role, name=name.strip()[:100])
    record(actor=actor, action="person.created", target=f"person:{address}", after={"role": role})
    return user


def _checked_email(email: str) -> str:
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        raise Invalid.field("email", _("{email} is not an e-mail address").format(email=repr(email))) from None
    return address


@transaction.atomic
def change_person(*, email: str, changes: dict[str, Any], actor: Actor, reason: str = "") -> User:
    """Change role, name or is_active. Raises NotFound, Invalid, and Conflict for the last active admin."""
    require(actor, may.PEOPLE_MANAGE)
    user = User.objects.select_for_update().filter(email=email.strip().lower()).first()
    if user is None:
        raise NotFound(_("There is no operator {email}.").format(email=email))
    before = {name: getattr(user, name) for name in changes}
    _apply_person(user, changes)
    user.save(update_fields=list(changes))
    if not user.is_active:
        end_all(user)
        PasswordLink.objects.filter(person=user).delete()
    record(
        actor=actor,
        action="person.changed",
        target=f"person:{user.email}",
        before=before,
        after=dict(changes),
        reason=reason,
    )
    return user


def _apply_person(user: User, changes: dict[str, Any]) -> None:
    for name in changes:
        if name not in {"role", "name", "is_active"}:
            raise Invalid.field(name, _("cannot be changed; only role, name and is_active can"))
    if changes.get("role", user.role) not in Role.values:
        raise Invalid.field(
            "role",
            _("{role} is not a role. Known: {known}").format(role=repr(changes["role"]), known=", ".join(Role.values)),
        )
    loses_admin = changes.get("role", user.role) != Role.ADMIN or not changes.get("is_active", user.is_active)
    if user.role == Role.ADMIN and user.is_active and loses_admin and not _other_admins(user):
        raise Conflict(
            _("{email} is the last active admin; make someone else an admin first.").format(email=user.email)
        )
    for name, value in changes.items():
        setattr(user, name, value)


def _other_admins(user: User) -> bool:
    return User.objects.filter(role=Role.ADMIN, is_active=True).exclude(pk=user.pk).exists()


@dataclass(frozen=True, slots=True)
class NewKey:
    """``raw`` is the key itself; it is not stored and cannot be shown again."""

    key: ApiKey
    raw: str


def create_key(
    *,
    name: str,
    scopes: list[str],
    actor: Actor,
    tenant_id: str = "",
    expires_in: timedelta | None = None,
    rate_per_minute: int | None = None,
) -> NewKey:
    """Make an API key. Nobody hands out more than they may do themselves.

    Raises Invalid (field named), Forbidden, and Conflict when the name is taken.
    """
    require(actor, may.APIKEYS_MANAGE)
    key = ApiKey(
        name=_checked_name(name),
        scopes=check_scopes(scopes),
        tenant_id=_checked_tenant(tenant_id),
        rate_per_minute=_checked_rate(rate_per_minute),
        expires_at=_checked_expiry(expires_in),
        created_by=str(actor),
    )
    beyond = sorted(key.scopes_as_permissions() - actor.permissions)
    if beyond:
        raise Forbidden(
            _("{actor} may not hand out {known} without holding it.").format(actor=actor, known=", ".join(beyond)),
            detail={"missing": beyond},
        )
    raw = api_keys.make()
    key.prefix, key.key_hash = raw[:12], api_keys.digest(raw)
    _save_new_key(key, actor)
    return NewKey(key, raw)


@transaction.atomic
def _save_new_key(key: ApiKey, actor: Actor) -> None:
    try:
        with transaction.atomic():
            key.save(force_insert=True)
    except IntegrityError:
        raise Conflict(
            _("There is already an API key named {name}. Revoked keys keep their name; choose another.").format(
                name=key.name
            )
        ) from None
    record(actor=actor, action="apikey.created", target=f"apikey:{key.name}", after=_shown(key))


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "prefix": key.prefix,
        "scopes": key.scopes,
        "tenant_id": key.tenant_id,
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "rate_per_minute": key.rate_per_minute,
    }


def _checked_name(name: str) -> str:
    text = name.strip()
    if not text or len(text) > 90 or not text.isprintable():
        raise Invalid.field("name", _("use 1 to 90 printable characters"))
    return text


def _checked_tenant(tenant_id: str) -> str:
    if len(tenant_id) > 64 or not tenant_id.isprintable():
        raise Invalid.field("tenant_id", _("use up to 64 printable characters"))
    return tenant_id


def _checked_rate(rate: int | None) -> int | None:
    if rate is not None and not 1 <= rate <= 100_000_000:
        raise Invalid.field("rate_per_minute", _("use 1 to 100000000 requests a minute"))
    return rate


def _checked_expiry(expires_in: timedelta | None) -> Any:
    if expires_in is None:
        return None
    if expires_in <= timedelta(0) or expires_in > timedelta(days=3660):
        raise Invalid.field("expires_in", _("must be in the future, ten years at most"))
    return clock.now() + expires_in


@transaction.atomic
def revoke_key(*, name: str, actor: Actor, reason: str = "") -> ApiKey:
    """End a key for good. Other processes notice within the few seconds they cache keys for."""
    require(actor, may.APIKEYS_MANAGE)
    key = ApiKey.objects.select_for_update().filter(name=name).first()
    if key is None:
        raise NotFound(_("There is no API key named {name}. `manage.py apikey list` shows them.").format(name=name))
    if key.revoked_at is not None:
        raise Conflict(
            _("The API key {name} was revoked already, on {time}.").format(name=name, time=exact(key.revoked_at))
        )
    key.revoked_at = clock.now()
    key.save(update_fields=["revoked_at"])
    record(actor=actor, action="apikey.revoked", target=f"apikey:{name}", before=_shown(key), reason=reason)
    transaction.on_commit(api_keys.forget_cached)
    return key
