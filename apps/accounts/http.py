"""Who calls the HTTP API: an API key, or for reading someone who is logged in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie, APIKeyHeader, HttpBearer

from apps.accounts import api_keys, rate
from apps.accounts.middleware import lacks_second_factor
from apps.accounts.models import ApiKey, User
from apps.core import context
from apps.core.actor import Actor, require
from apps.core.errors import Forbidden, Invalid, Unauthorized
from apps.core.http import client_ip

SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Caller:
    """``bound_tenant`` is set for a key that acts for one tenant only; ``source`` is kept with messages."""

    actor: Actor
    bound_tenant: str = ""
    source: str = ""

    def tenant(self, given: str = "") -> str:
        """The tenant to act for: from the body or query, X-Tenant-ID, or the key. They must agree."""
        header = context.tenant_id.get()
        if given and header and given != header:
            raise Invalid.field("tenant_id", f"is {given!r} while the header X-Tenant-ID says {header!r}")
        wanted = given or header
        if self.bound_tenant and wanted and wanted != self.bound_tenant:
            raise Forbidden(
                f"This API key acts for the tenant {self.bound_tenant!r} only.",
                detail=[{"field": "tenant_id", "message": "is not the tenant of the API key"}],
            )
        return wanted or self.bound_tenant

    def may_see(self, tenant_id: str) -> bool:
        return not self.bound_tenant or tenant_id == self.bound_tenant

    def require(self, permission: str) -> None:
        """Raises :class:`Forbidden` that names the scope."""
        require(self.actor, permission)

    def require_all_tenants(self, what: str) -> None:
        """Refuse a tenant's key what concerns every tenant."""
        if self.bound_tenant:
            raise Forbidden(
                f"This API key acts for the tenant {self.bound_tenant!r} only; {what} concerns all tenants."
            )


def caller_of(request: HttpRequest) -> Caller:
    """The caller that authentication found."""
    return cast(Caller, cast(Any, request).auth)


def _caller_by_key(request: HttpRequest, raw: str) -> Caller:
    key = api_keys.authenticate(raw.strip())
    rate.spend(key)
    return _caller(key, client_ip(request))


def _caller(key: ApiKey, ip: str) -> Caller:
    return Caller(key.as_actor(ip), key.tenant_id, source=f"api:{key.name}")


class BearerKey(HttpBearer):
    """``Authorization: Bearer KEY``"""

    def authenticate(self, request: HttpRequest, token: str) -> Caller:
        return _caller_by_key(request, token)


class InternalKey(APIKeyHeader):
    """``X-Internal-API-Key: KEY``"""

    param_name = "X-Internal-API-Key"

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        return _caller_by_key(request, key) if key else None


class SessionForReading(APIKeyCookie):
    """Someone who is logged in may read in the browser. A change needs a key: no cookie can be abused for one."""

    param_name = settings.SESSION_COOKIE_NAME

    def __init__(self) -> None:
        super().__init__(csrf=False)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        user = getattr(request, "user", None)
        if not key or request.method not in SAFE_METHODS or not isinstance(user, User) or not user.is_active:
            return None
        if lacks_second_factor(request):
            return None
        return Caller(user.as_actor(client_ip(request)))


KEYS: Final = [BearerKey(), InternalKey()]
KEYS_OR_SESSION: Final = [*KEYS, SessionForReading()]


def not_authenticated() -> Unauthorized:
    """For a request that brought no key at all."""
    return Unauthorized(
        "This needs an API key: send Authorization: Bearer KEY or X-Internal-API-Key: KEY. "
        "Make one with `manage.py apikey create NAME --scope messages:write`.",
        detail={"reason": "missing"},
    )
