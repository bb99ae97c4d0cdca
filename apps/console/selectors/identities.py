"""What the pages about people, roles and keys show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import ApiKey, PasswordLink, User
from apps.accounts.roles import ROLE_PERMISSIONS, Role
from apps.accounts.scopes import MEANINGS
from apps.audit.models import AuditEntry
from apps.console.marks import Mark
from apps.core import actor, clock

SHOWN_HISTORY: Final = 20
FACTOR_WORDS: Final[dict[str, Any]] = {
    Authenticator.Type.TOTP: gettext_lazy("app"),
    Authenticator.Type.WEBAUTHN: gettext_lazy("passkey"),
}
ROLE_WORDS: Final[dict[str, Any]] = {
    Role.VIEWER: gettext_lazy("Looks, with recipients masked"),
    Role.OPERATOR: gettext_lazy("Runs the night: replays, overrides, triage"),
    Role.LEAD: gettext_lazy("Also changes services, templates and keys"),
    Role.ADMIN: gettext_lazy("Also manages people"),
}
PERMISSION_WORDS: Final[dict[str, Any]] = {
    **MEANINGS,
    actor.APIKEYS_MANAGE: gettext_lazy("make and revoke API keys"),
    actor.PEOPLE_MANAGE: gettext_lazy("invite people and change their roles"),
}


@dataclass(frozen=True, slots=True)
class PersonRow:
    person: User
    factors: list[Any]
    mark: Mark
    link_expires_at: datetime | None
    has_identity: bool


def people() -> list[PersonRow]:
    """Everyone, those who may log in first. Four queries, however many people."""
    found = list(User.objects.order_by("-is_active", "email"))
    return _rows(found)


def person_row(person: User) -> PersonRow:
    return _rows([person])[0]


def _rows(found: list[User]) -> list[PersonRow]:
    ids = [person.pk for person in found]
    factors: dict[int, set[str]] = {}
    for owner, kind in Authenticator.objects.filter(user_id__in=ids).values_list("user_id", "type"):
        factors.setdefault(owner, set()).add(kind)
    links = PasswordLink.objects.filter(person_id__in=ids, expires_at__gt=clock.now())
    waiting = dict(links.values_list("person_id", "expires_at"))
    linked = set(SocialAccount.objects.filter(user_id__in=ids).values_list("user_id", flat=True))
    return [
        _row(person, factors.get(person.pk, set()), waiting.get(person.pk), person.pk in linked) for person in found
    ]


def _row(person: User, types: set[str], link: datetime | None, linked: bool) -> PersonRow:
    words = [word for kind, word in FACTOR_WORDS.items() if kind in types]
    return PersonRow(person, words, _mark(person, link, linked), link, linked)


def _mark(person: User, link: datetime | None, linked: bool) -> Mark:
    if not person.is_active:
        return Mark("unknown", _("Locked out"), locked=True)
    if person.has_usable_password() or linked:
        return Mark("good", _("May log in"))
    return Mark("warning", _("Invited") if link else _("Invitation expired"))


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """``held`` follows the order of the roles."""

    permission: str
    text: Any
    held: list[bool]


def role_matrix() -> list[MatrixRow]:
    """What each role may do, from the table that is enforced; what fewer may comes later."""
    names = sorted(actor.ALL_PERMISSIONS, key=lambda name: (-_holders(name), name))
    return [
        MatrixRow(name, PERMISSION_WORDS.get(name, name), [name in ROLE_PERMISSIONS[role] for role in Role.values])
        for name in names
    ]


def _holders(permission: str) -> int:
    return sum(permission in ROLE_PERMISSIONS[role] for role in Role.values)


def history_of(person: User) -> list[AuditEntry]:
    """The newest of what was done to a person."""
    return list(AuditEntry.objects.filter(target=f"person:{person.email}").order_by("-id")[:SHOWN_HISTORY])


# --- API keys ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class KeyRow:
    key: ApiKey
    state: str
    mark: Mark


KEY_STATES: Final = ("active", "expired", "revoked")


def keys(*, state: str = "", text: str = "") -> list[KeyRow]:
    """Keys by name, those that work first."""
    found = [_key_row(key) for key in ApiKey.objects.order_by("name")]
    wanted = text.strip().lower()
    rows = [row for row in found if state in ("", row.state) and (not wanted or wanted in _said(row.key))]
    return sorted(rows, key=lambda row: KEY_STATES.index(row.state))


def _said(key: ApiKey) -> str:
    return " ".join((key.name, key.prefix, key.tenant_id, key.created_by, *key.scopes)).lower()


def _key_row(key: ApiKey) -> KeyRow:
    if key.revoked_at is not None:
        return KeyRow(key, "revoked", Mark("unknown", _("Revoked"), locked=True))
    if key.expires_at is not None and key.expires_at <= clock.now():
        return KeyRow(key, "expired", Mark("warning", _("Expired")))
    return KeyRow(key, "active", Mark("good", _("Active")))
