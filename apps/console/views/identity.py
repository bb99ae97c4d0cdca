"""allauth's views at our addresses and on our pages."""

from __future__ import annotations

from typing import Any, Final

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from django.http import HttpResponse
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from apps.console.web import Crumb

HERE: Final = [
    Crumb(_("Settings"), reverse_lazy("settings")),
    Crumb(_("Security"), reverse_lazy("mfa_index")),
]


def _crumbs(label: Any) -> dict[str, Any]:
    return {"crumbs": [*HERE, Crumb(label)]}


def refused_status(form: Any) -> int:
    """429 while somebody has to wait, else 422."""
    codes = {error.code for errors in form.errors.as_data().values() for error in errors}
    return 429 if "throttled" in codes else 422


class _Refusing:
    """A refused form is answered with a status that says so."""

    def form_invalid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)  # type: ignore[misc]
        if response.status_code == 200:
            response.status_code = refused_status(form)
        return response


class Login(_Refusing, account.LoginView):
    template_name = "console/login.html"


class Code(_Refusing, mfa.AuthenticateView):
    template_name = "console/login_code.html"


class PasswordAgain(_Refusing, account.ReauthenticateView):
    template_name = "console/confirm.html"
    extra_context = {"kind": "password"}


class CodeAgain(_Refusing, mfa.ReauthenticateView):
    template_name = "console/confirm.html"
    extra_context = {"kind": "code"}
