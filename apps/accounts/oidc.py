"""Log-in through an OpenID Connect provider: what its token must prove, and which person that is."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import jwt
import structlog
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.accounts.roles import Role
from apps.accounts.services import change_person, new_person
from apps.audit.services import record
from apps.core.actor import ALL_PERMISSIONS, Actor
from apps.core.errors import Conflict, PortalError

log = structlog.get_logger(__name__)

PROVIDER: Final = "oidc"
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY_S: Final = 60
REQUIRED: Final = ("iss", "sub", "aud", "exp", "iat")


class LogInRefused(OAuth2Error):  # type: ignore[misc]  # allauth has no types
    """``shown`` is for the person; it says nothing about others."""

    def __init__(self, shown: str, *, why: str) -> None:
        super().__init__(why)
        self.shown = shown


def _forged(why: str) -> LogInRefused:
    return LogInRefused(
        _("What the provider answered could not be verified, so nobody was logged in. Try again."), why=why
    )


def verified_claims(
    id_token: str, keys: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str
) -> dict[str, Any]:
    """The claims of ``id_token`` when it is signed by the provider, for us, now, and for this very log-in."""
    try:
        header = jwt.get_unverified_header(id_token)
        if header.get("alg") not in ALGORITHMS:
            raise _forged(f"algorithm {header.get('alg')!r}")
        claims: dict[str, Any] = jwt.decode(
            id_token,
            key=_key(keys, header.get("kid")),
            algorithms=[header["alg"]],
            audience=client_id,
            issuer=issuer,
            leeway=LEEWAY_S,
            options={"require": list(REQUIRED)},
        )
    except jwt.PyJWTError as error:
        raise _forged(f"id token: {error}") from error
    _check_for_us(claims, client_id, nonce)
    return claims


def _key(keys: Mapping[str, Any], kid: str | None) -> jwt.PyJWK:
    usable = [key for key in jwt.PyJWKSet.from_dict(dict(keys)).keys if key.public_key_use in (None, "sig")]
    found = [key for key in usable if kid is None or key.key_id == kid]
    if len(found) != 1:
        raise _forged(f"no single key {kid!r}")
    return found[0]


def _check_for_us(claims: Mapping[str, Any], client_id: str, nonce: str) -> None:
    audience = claims["aud"]
    if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != client_id:
        raise _forged("azp is not us")
    if not nonce or not hmac.compare_digest(str(claims.get("nonce", "")), nonce):
        raise _forged("nonce is not the one of this log-in")


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """``groups``, or a nested one such as ``realm_access.roles``."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def role_of(claims: Mapping[str, Any]) -> str | None:
    """The highest role the provider gives; empty when it gives none, None when it is not asked."""
    if not settings.OIDC_ROLE_CLAIM:
        return None
    given = claim(claims, settings.OIDC_ROLE_CLAIM)
    values = {str(item) for item in given} if isinstance(given, list | tuple) else {str(given)}
    meanings = dict(pair.rpartition("=")[::2] for pair in settings.OIDC_ROLES)
    roles = [role for value, role in meanings.items() if value in values]
    best = max(roles, key=list(Role.values).index, default="")
    return best or ("viewer" if settings.OIDC_UNKNOWN_PEOPLE == "viewer" else "")


def identity_of(claims: Mapping[str, Any]) -> str:
    """Issuer and subject together name one person for ever; an address may be given to somebody else."""
    return hashlib.sha256(f"{claims['iss']}\x00{claims['sub']}".encode()).hexdigest()


@transaction.atomic
def person_of(claims: Mapping[str, Any], ip: str) -> User:
    """Who the claims are, known by an earlier log-in or by a verified address. Raises :class:`LogInRefused`."""
    actor = Actor("system", PROVIDER, ALL_PERMISSIONS, ip)
    role = role_of(claims)
    if role == "":
        raise _no_access("no role in the claim")
    identity = identity_of(claims)
    known = SocialAccount.objects.select_related("user").filter(provider=PROVIDER, uid=identity).first()
    person = known.user if known else _first_time(claims, identity, role or Role.VIEWER, actor)
    if not person.is_active:
        raise _no_access(f"{person.email} is not active")
    return _with_role(person, role, actor)


def _no_access(why: str) -> LogInRefused:
    return LogInRefused(_("Your account at the provider has no access here. Ask an admin of the portal."), why=why)


def _first_time(claims: Mapping[str, Any], identity: str, role: str, actor: Actor) -> User:
    email = str(claims.get("email") or "").strip().lower()
    verified = claims.get("email_verified")
    if not email or not (verified is True or verified == "true"):
        raise LogInRefused(
            _("The provider does not say that your e-mail address is verified, so it cannot be trusted here."),
            why="e-mail not verified",
        )
    person = User.objects.filter(email=email).first() or _unknown(claims, email, role, actor)
    if SocialAccount.objects.filter(provider=PROVIDER, user=person).exists():
        raise _no_access(f"{email} belongs to another identity of the provider already")
    SocialAccount.objects.create(provider=PROVIDER, uid=identity, user=person)
    record(actor=actor, action="person.identity_linked", target=f"person:{email}", after={"issuer": str(claims["iss"])})
    return person


def _unknown(claims: Mapping[str, Any], email: str, role: str, actor: Actor) -> User:
    if settings.OIDC_UNKNOWN_PEOPLE != "viewer" and not settings.OIDC_ROLE_CLAIM:
        raise _no_access(f"{email} is not known here")
    try:
        return new_person(email=email, role=role, name=str(claims.get("name") or ""), password=None, actor=actor)
    except PortalError as error:
        raise _no_access(error.message) from error


def _with_role(person: User, role: str | None, actor: Actor) -> User:
    if role is None or role == person.role:
        return person
    try:
        return change_person(email=person.email, changes={"role": role}, actor=actor, reason="the provider says so")
    except Conflict as error:
        log.warning("oidc.role_kept", person=person.email, error=error.message)
        return person
