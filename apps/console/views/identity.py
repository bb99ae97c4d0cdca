"""allauth's views at our addresses and on our pages."""

from __future__ import annotations

import json
from typing import Any, Final

from allauth.account import views as account
from allauth.account.internal.flows.login import record_authentication
from allauth.account.internal.flows.password_change import finalize_password_change
from allauth.mfa.base import views as mfa
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import views as recovery
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from allauth.mfa.webauthn.internal import auth as webauthn_auth
from allauth.socialaccount.providers.oauth2.views import OAuth2LoginView
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _

from apps.accounts import second_factor, throttle
from apps.accounts.forms import AddPasskeyForm, NewPasswordForm, RenamePasskeyForm
from apps.accounts.journal import failed
from apps.accounts.models import User
from apps.accounts.provider import CallbackView, PortalOIDCAdapter
from apps.console.views.settings_hub import sections_for
from apps.console.web import Crumb
from apps.core.http import client_ip


def _crumb(label: Any, url: Any = "") -> Crumb:
    """Texts and addresses stay lazy until a page is rendered."""
    return Crumb(label, url)


HERE: Final = [_crumb(_("Settings"), reverse_lazy("settings")), _crumb(_("Security"), reverse_lazy("mfa_index"))]


def _crumbs(label: Any, **extra: Any) -> dict[str, Any]:
    return {"crumbs": [*HERE, _crumb(label)], "heading": label, **extra}


def refused_status(form: Any) -> int:
    """429 while somebody has to wait, else 422."""
    codes = {error.code for errors in form.errors.as_data().values() for error in errors}
    return 429 if "throttled" in codes else 422


class _Page:
    """Never kept by a cache; a refused form is answered with a status that says so."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]
        response["Cache-Control"] = "private, no-store"
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)  # type: ignore[misc]
        if response.status_code == 200:
            response.status_code = refused_status(form)
        return response


class _Passkey(_Page):
    """What the browser is asked for goes into the page as the attribute that passkeys.js reads."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        asked = found.get("js_data") or {}
        return {**found, "options": json.dumps(asked.get("request_options") or asked.get("creation_options"))}


# --- logging in ----------------------------------------------------------------------------------
@method_decorator(login_not_required, name="dispatch")
class Login(_Page, account.LoginView):
    template_name = "console/login.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "oidc_name": settings.OIDC_NAME if settings.OIDC_ISSUER else ""}


@method_decorator(login_not_required, name="dispatch")
class LoginCode(_Passkey, mfa.AuthenticateView):
    template_name = "console/login_code.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        types = Authenticator.objects.filter(user=self.stage.login.user).values_list("type", flat=True)
        return {**super().get_context_data(**kwargs), "types": set(types)}


@method_decorator(login_not_required, name="dispatch")
class LoginPasskey(_Page, webauthn.LoginWebAuthnView):
    """GET asks for a challenge, as JSON; POST brings the answer."""

    template_name = "console/login.html"

    def form_invalid(self, form: Any) -> HttpResponse:
        ip = client_ip(self.request)
        if not throttle.LOG_IN_ANY.blocked_for(ip):
            throttle.LOG_IN_ANY.count(ip)
            failed("passkey", "unknown", ip)
        response: HttpResponse = webauthn.LoginWebAuthnView.form_invalid(self, form)
        return response


def _oidc_adapter(request: HttpRequest) -> PortalOIDCAdapter:
    if not settings.OIDC_ISSUER:
        raise Http404
    return PortalOIDCAdapter(request)


@login_not_required
def oidc_login(request: HttpRequest) -> HttpResponse:
    response: HttpResponse = OAuth2LoginView.adapter_view(_oidc_adapter(request))(request)
    return response


@login_not_required
def oidc_callback(request: HttpRequest) -> HttpResponse:
    response: HttpResponse = CallbackView.adapter_view(_oidc_adapter(request))(request)
    return response


@login_not_required
def oidc_cancelled(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(reverse_lazy("login"))


# --- once more, before something about the log-in is changed -------------------------------------
class PasswordAgain(_Page, account.ReauthenticateView):
    template_name = "console/confirm.html"
    extra_context = {**_crumbs(_("Confirm that it is you")), "kind": "password"}


class CodeAgain(_Page, mfa.ReauthenticateView):
    template_name = "console/confirm.html"
    extra_context = {**_crumbs(_("Confirm that it is you")), "kind": "code"}


class PasskeyAgain(_Passkey, webauthn.ReauthenticateWebAuthnView):
    template_name = "console/confirm.html"
    extra_context = {**_crumbs(_("Confirm that it is you")), "kind": "passkey"}


# --- one's own security --------------------------------------------------------------------------
class Security(_Page, mfa.IndexView):
    template_name = "console/settings_security.html"
    extra_context = {"crumbs": [HERE[0], _crumb(_("Security"))], "section": "mfa_index"}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = super().get_context_data(**kwargs)
        recovery_codes = found["authenticators"].get("recovery_codes")
        return {
            **found,
            "sections": sections_for(self.request),
            "app": found["authenticators"].get("totp"),
            "passkeys": found["authenticators"].get("webauthn", []),
            "codes_left": len(recovery_codes.get_unused_codes()) if recovery_codes else None,
            "required": getattr(self.request.user, "role", "") in settings.REQUIRE_MFA_FOR,
        }


def _proved(request: HttpRequest, row: Any) -> None:
    """To set one up is to prove it: the code or the passkey was asked for just now."""
    record_authentication(request, row.user, "mfa", id=row.pk, type=row.type, reauthenticated=True)


class Password(_Page, account.PasswordChangeView):
    template_name = "console/settings_form.html"
    success_url = reverse_lazy("mfa_index")
    extra_context = _crumbs(_("Change your password"), button=_("Change password"))

    def get_form_class(self) -> Any:
        return NewPasswordForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if isinstance(request.user, User) and not request.user.has_usable_password():
            return HttpResponseRedirect(reverse_lazy("mfa_index"))
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        form.save()
        finalize_password_change(self.request, form.user)
        return HttpResponseRedirect(self.success_url)


class AddApp(_Page, totp.ActivateTOTPView):
    template_name = "console/settings_app.html"
    extra_context = _crumbs(_("Set up an authenticator app"))

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        row = Authenticator.objects.get(user=self.request.user, type=Authenticator.Type.TOTP)
        second_factor.mark_used(row, form.step)
        _proved(self.request, row)
        return response


class RemoveApp(_Page, totp.DeactivateTOTPView):
    template_name = "console/settings_form.html"
    extra_context = _crumbs(
        _("Remove your authenticator app"),
        button=_("Remove"),
        danger=True,
        lead=_("From then on the password alone is enough, unless you have a passkey."),
    )


class RecoveryCodes(_Page, recovery.ViewRecoveryCodesView):
    template_name = "console/settings_recovery.html"
    extra_context = _crumbs(_("Recovery codes"))


class NewRecoveryCodes(_Page, recovery.GenerateRecoveryCodesView):
    template_name = "console/settings_form.html"
    extra_context = _crumbs(
        _("Make new recovery codes"),
        button=_("Make new codes"),
        danger=True,
        lead=_("The codes you have now stop working at once. The new ones are shown once."),
    )


class AddPasskey(_Page, webauthn.AddWebAuthnView):
    template_name = "console/settings_passkey.html"
    extra_context = _crumbs(_("Add a passkey"))

    def get_form_class(self) -> Any:
        return AddPasskeyForm

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        row = Authenticator.objects.filter(user=self.request.user, type=Authenticator.Type.WEBAUTHN).latest("pk")
        _proved(self.request, row)
        return response

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "name": _("This device")}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        # Not allauth's: it would check the refused form again, with a challenge that is used up.
        found = super(webauthn.AddWebAuthnView, self).get_context_data(**kwargs)
        return {**found, "options": json.dumps(webauthn_auth.begin_registration(self.request.user, True))}


class RemovePasskey(_Page, webauthn.RemoveWebAuthnView):
    template_name = "console/settings_form.html"
    success_url = reverse_lazy("mfa_index")
    extra_context = _crumbs(
        _("Remove a passkey"),
        button=_("Remove"),
        danger=True,
        lead=_("It can no longer be used to log in here. The device keeps its copy until you delete it there."),
    )


class RenamePasskey(_Page, webauthn.EditWebAuthnView):
    template_name = "console/settings_form.html"
    success_url = reverse_lazy("mfa_index")
    extra_context = _crumbs(_("Rename a passkey"), button=_("Rename"))

    def get_form_class(self) -> Any:
        return RenamePasskeyForm
