"""What allauth asks of us: who may do what, in whose words, and how secrets are kept."""

from __future__ import annotations

from typing import Any, Final

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, _build_apps_from_settings
from allauth.socialaccount.providers.base.constants import AuthError
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts import second_factor, throttle
from apps.accounts.forms import refuse_throttled
from apps.accounts.journal import failed
from apps.accounts.models import User
from apps.core.http import client_ip

log = structlog.get_logger(__name__)

SAID: Final = {
    "account/messages/password_changed.txt": gettext_lazy(
        "Your password is changed. You are logged out everywhere else."
    ),
    "mfa/messages/totp_activated.txt": gettext_lazy("Your authenticator app is set up."),
    "mfa/messages/totp_deactivated.txt": gettext_lazy("Your authenticator app is removed."),
    "mfa/messages/webauthn_added.txt": gettext_lazy("Your passkey is added."),
    "mfa/messages/webauthn_removed.txt": gettext_lazy("Your passkey is removed."),
    "mfa/messages/recovery_codes_generated.txt": gettext_lazy("These recovery codes are shown this once: keep them."),
}


class AccountAdapter(DefaultAccountAdapter):
    """People are made by admins; nothing is mailed."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_ip(request) or "unknown"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """The portal has no mail server of its own to send with; nothing it does depends on one."""
        log.info("account.mail_not_sent", mail=template_prefix)

    def add_message(
        self,
        request: HttpRequest,
        level: int,
        message_template: str | None = None,
        message_context: dict[str, Any] | None = None,
        extra_tags: str = "",
        message: str | None = None,
    ) -> None:
        """Our words for what matters, and none for the rest."""
        text = message or SAID.get(message_template or "")
        if text:
            messages.add_message(request, level, str(text), extra_tags=extra_tags)

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        messages.error(request, _("This person may not log in any more. Ask an admin."))
        return HttpResponseRedirect(reverse("login"))

    def get_reauthentication_methods(self, user: User) -> list[dict[str, Any]]:
        """Who has a second factor proves that one: a password alone must not be enough to remove it."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        second = [method for method in methods if method["id"] != "reauthenticate"]
        return second or methods

    def reauthenticate(self, user: User, password: str) -> bool:
        """The password once more, counted like a log-in."""
        refuse_throttled(throttle.PASSWORD_AGAIN.blocked_for(str(user.pk)))
        if user.check_password(password):
            throttle.PASSWORD_AGAIN.forget(str(user.pk))
            return True
        throttle.PASSWORD_AGAIN.count(str(user.pk))
        return False


class ProviderAdapter(DefaultSocialAccountAdapter):
    """The provider is the one of the environment; what goes wrong is said on a page of ours."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False

    def list_apps(self, request: HttpRequest, provider: str | None = None, client_id: str | None = None) -> list[Any]:
        """Without a look into the database, where nobody may add one."""
        apps = _build_apps_from_settings(provider=provider, client_id=client_id)
        return [app for found in apps.values() for app in found]

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None
    ) -> None:
        if error == AuthError.CANCELLED:
            return
        why = str(exception or error or "")
        ip = client_ip(request)
        log.warning("oidc.refused", why=why)
        if not throttle.LOG_IN_ANY.blocked_for(ip):
            # Beyond the limit it is in the log only: nobody may fill the audit trail from outside.
            throttle.LOG_IN_ANY.count(ip)
            failed("oidc", "unknown", ip)
        shown = getattr(exception, "shown", "") or _(
            "The log-in through the provider did not work. Try again, or log in with your password."
        )
        page = render(request, "console/login_refused.html", {"shown": shown}, status=401)
        raise ImmediateHttpResponse(page)


class SecondFactorAdapter(DefaultMFAAdapter):
    """Secrets of authenticators are kept encrypted with ENCRYPTION_KEYS."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": gettext_lazy("This code is not right, or it was used already. Wait for the next one."),
    }

    def encrypt(self, text: str) -> str:
        return second_factor.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return second_factor.decrypt(encrypted_text)

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {"id": context.request.get_host().partition(":")[0], "name": "opsportal"}

    def validation_error(self, code: str, *args: Any) -> ValidationError:
        return ValidationError(self.error_messages[code] % args if args else self.error_messages[code], code=code)
