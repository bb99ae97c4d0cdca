"""The one OpenID Connect provider of the environment, held to more than allauth's own checks.

The token's signature is always verified, a nonce binds it to the log-in that was begun here, and which person it is
is decided in :mod:`apps.accounts.oidc`. Nothing of the request's query reaches the provider.
"""

from __future__ import annotations

import secrets
from typing import Any, NoReturn

from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.providers.base.constants import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from requests import RequestException

from apps.accounts import oidc
from apps.core.http import client_ip

NEEDED = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")


class PortalOIDCAdapter(OpenIDConnectOAuth2Adapter):
    """Talks to the provider. ``login_state`` is what was put aside when the log-in began."""

    def __init__(self, request: HttpRequest, provider_id: str = oidc.PROVIDER) -> None:
        super().__init__(request, provider_id)
        self.login_state: dict[str, Any] = {}

    @property
    def openid_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().openid_config
        ours = str(self.get_provider().app.settings["server_url"]).rstrip("/")
        if any(not isinstance(config.get(name), str) for name in NEEDED) or config["issuer"].rstrip("/") != ours:
            raise OAuth2Error(f"the configuration at {ours} is not that of this issuer")
        return config

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return request.build_absolute_uri(reverse("oidc_callback"))

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> NoReturn:
        """Log the person in. The answer is given by an exception, which allauth's view takes as one."""
        claims = self._claims(app, str(kwargs["response"].get("id_token") or ""), token.token)
        person = oidc.person_of(claims, client_ip(request))
        if request.user.is_authenticated:
            logout(request)
        record_authentication(request, person, "socialaccount", provider=oidc.PROVIDER)
        login = Login(user=person, email=person.email, redirect_url=self.login_state.get("next"))
        raise ImmediateHttpResponse(perform_login(request, login))

    def _claims(self, app: Any, id_token: str, access_token: str) -> dict[str, Any]:
        config = self.openid_config
        claims = oidc.verified_claims(
            id_token,
            self._get(config["jwks_uri"]),
            issuer=config["issuer"],
            client_id=app.client_id,
            nonce=str(self.login_state.get("nonce", "")),
        )
        if "email" in claims or not config.get("userinfo_endpoint"):
            return claims
        more = self._get(config["userinfo_endpoint"], {"Authorization": f"Bearer {access_token}"})
        if more.get("sub") != claims["sub"]:
            raise OAuth2Error("userinfo is about somebody else")
        return {**more, **claims}

    def _get(self, url: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
        with get_adapter().get_requests_session() as session:
            response = session.get(url, headers=headers)
            response.raise_for_status()
            found = response.json()
        if not isinstance(found, dict):
            raise OAuth2Error(f"{url} did not answer an object")
        return found


class PortalOIDCProvider(OpenIDConnectProvider):
    id = oidc.PROVIDER
    oauth2_adapter_class = PortalOIDCAdapter

    def get_login_url(self, request: HttpRequest, **kwargs: Any) -> str:
        return reverse("oidc_login")

    def get_redirect_from_request_kwargs(self, request: HttpRequest) -> dict[str, Any]:
        found = super().get_redirect_from_request_kwargs(request)
        kept = {"next_url": found["next_url"]} if "next_url" in found else {}
        return {**kept, "process": AuthProcess.LOGIN}

    def redirect(self, request: HttpRequest, process: str, **kwargs: Any) -> HttpResponse:
        nonce = secrets.token_urlsafe(24)
        try:
            answer: HttpResponse = super().redirect(
                request, process, **{**kwargs, "auth_params": {"nonce": nonce}, "nonce": nonce}
            )
        except (OAuth2Error, RequestException) as error:
            answer = render_authentication_error(request, self, exception=error)
        return answer


class CallbackView(OAuth2CallbackView):
    """Hands the adapter what the log-in began with, and says on a page what the provider did wrong."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer: HttpResponse = super().dispatch(request, *args, **kwargs)
        except (OAuth2Error, RequestException) as error:
            answer = render_authentication_error(request, self.adapter.get_provider(), exception=error)
        return answer

    def _get_state(self, request: HttpRequest, provider: Any) -> Any:
        state, response = super()._get_state(request, provider)
        self.adapter.login_state = state or {}
        return state, response


provider_classes = [PortalOIDCProvider]
