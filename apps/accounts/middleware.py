"""Pages need a log-in, of some roles with a second factor; the API and the probes decide for themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode

from apps.accounts import sessions
from apps.accounts.models import User

OPEN_PREFIXES = ("/api/", "/health", "/metrics", "/stats/", "/webhooks/")
# What one needs to prove a second factor that there is, and to set one up.
PROVING: Final = {
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "logout",
    "account_logout",
    "theme",
    "language",
}
SETTING_UP: Final = PROVING | {
    "mfa_index",
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_view_recovery_codes",
    "account_reauthenticate",
    "account_change_password",
}


class PortalLoginRequiredMiddleware(LoginRequiredMiddleware):
    """A program that calls the API is answered 401 there, never a redirect to the log-in page."""

    def process_view(
        self, request: HttpRequest, view_func: Callable[..., Any], view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        if request.path.startswith(OPEN_PREFIXES):
            return None
        refused = super().process_view(request, view_func, view_args, view_kwargs)
        if refused is None and isinstance(request.user, User):
            sessions.touch(request, request.user)
            return _to_second_factor(request, request.user)
        return refused


def lacks_second_factor(request: HttpRequest) -> bool:
    """Does the role of this person demand a second factor that this session has not seen?"""
    user = request.user
    if not isinstance(user, User) or user.role not in settings.REQUIRE_MFA_FOR:
        return False
    return all(record["method"] != "mfa" for record in get_authentication_records(request, user))


def _to_second_factor(request: HttpRequest, person: User) -> HttpResponseBase | None:
    """Nothing else opens before it, whatever the address."""
    if not lacks_second_factor(request):
        return None
    types = set(Authenticator.objects.filter(user_id=person.pk).values_list("type", flat=True))
    target, open_names = _where_to(types)
    match = request.resolver_match
    if match is not None and match.view_name in open_names:
        return None
    if request.method != "GET" or target == "mfa_index":
        return HttpResponseRedirect(reverse(target))
    return HttpResponseRedirect(f"{reverse(target)}?{urlencode({'next': request.get_full_path()})}")


def _where_to(types: set[str]) -> tuple[str, set[str]]:
    if types & {Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES}:
        return "mfa_reauthenticate", PROVING
    if types:
        return "mfa_reauthenticate_webauthn", PROVING
    return "mfa_index", SETTING_UP
