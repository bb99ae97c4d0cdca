"""Log-in, log-out, and how the pages look for this person."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from apps.console.shell import THEME_COOKIE, THEMES
from apps.console.throttle import blocked_for, count_failure, forget_failures
from apps.core import human
from apps.core.http import client_ip

YEAR_S = 365 * 24 * 3600


class LoginForm(AuthenticationForm):
    """E-mail and password; too many failures from one address are told so, whatever the password."""

    error_messages = {
        "invalid_login": "This e-mail address and password do not belong together.",
        "inactive": "This person may not log in any more. Ask an admin.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "E-mail"
        self.fields["username"].widget = forms.EmailInput(
            attrs={"class": "input", "autofocus": True, "autocomplete": "username", "maxlength": 254}
        )
        self.fields["password"].widget.attrs.update({"class": "input"})

    def clean(self) -> dict[str, Any]:
        email = str(self.cleaned_data.get("username", "")).lower()
        self.cleaned_data["username"] = email
        ip = client_ip(self.request) if self.request else ""
        seconds = blocked_for(ip, email)
        if seconds:
            raise forms.ValidationError(
                f"Too many failed log-ins from this address. Try again in {human.span(seconds)}, or ask an admin.",
                code="throttled",
            )
        try:
            cleaned: dict[str, Any] = super().clean()
        except forms.ValidationError:
            count_failure(ip, email)
            raise
        forget_failures(ip, email)
        return cleaned


@method_decorator(login_not_required, name="dispatch")
class Login(LoginView):
    template_name = "console/login.html"
    form_class = LoginForm
    redirect_authenticated_user = True

    def form_invalid(self, form: Any) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 429 if form.has_error("__all__", "throttled") else 422
        return response


@login_not_required
@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remember light, dark or the system's choice in a cookie."""
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}):
        target = "/"
    response = HttpResponseRedirect(target)
    chosen = request.POST.get("theme", "")
    if chosen in dict(THEMES) and chosen:
        response.set_cookie(THEME_COOKIE, chosen, max_age=YEAR_S, samesite="Lax", secure=settings.HTTPS)
    else:
        response.delete_cookie(THEME_COOKIE, samesite="Lax")
    return response
