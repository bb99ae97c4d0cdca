"""Forms of logging in. Each counts its failures; none says whether an address is known."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import ChangePasswordForm, ReauthenticateForm
from allauth.account.forms import LoginForm as AllauthLoginForm
from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as CodeReauthenticateForm
from allauth.mfa.totp.forms import ActivateTOTPForm as AllauthActivateTOTPForm
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY, generate_totp_secret
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts import second_factor, throttle
from apps.accounts.journal import failed
from apps.core import human
from apps.core.http import client_ip


def refuse_throttled(seconds: int) -> None:
    """Raise what a form shows while somebody has to wait."""
    if seconds:
        text = _("Too many failures. Try again in {span}, or ask an admin.").format(span=human.span(seconds))
        raise forms.ValidationError(text, code="throttled")


def _attributes(**attributes: Any) -> dict[str, Any]:
    return {"class": "input", **attributes}


def password_field(label: Any, *, new: bool = False, **attributes: Any) -> forms.CharField:
    kind = "new-password" if new else "current-password"
    widget = forms.PasswordInput(attrs=_attributes(autocomplete=kind, maxlength=200, **attributes))
    return forms.CharField(label=label, strip=False, max_length=200, widget=widget)


def code_field() -> forms.CharField:
    widget = forms.TextInput(
        attrs=_attributes(autocomplete="one-time-code", inputmode="numeric", maxlength=40, autofocus=True)
    )
    return forms.CharField(label=gettext_lazy("Code"), max_length=40, widget=widget)


class LoginForm(AllauthLoginForm):
    """E-mail and password; too many failures from one address are told so, whatever the password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        widget = forms.EmailInput(attrs=_attributes(autofocus=True, autocomplete="username", maxlength=254))
        self.fields["login"] = forms.EmailField(label=gettext_lazy("E-mail"), max_length=254, widget=widget)
        self.fields["password"] = password_field(gettext_lazy("Password"))
        self.order_fields(["login", "password"])

    def clean_login(self) -> str:
        return str(self.cleaned_data["login"]).strip().lower()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = self.cleaned_data
        if not self.errors:
            self._check(cleaned["login"], cleaned["password"], client_ip(self.request))
        return cleaned

    def _check(self, email: str, password: str, ip: str) -> None:
        """Django's backend takes as long over an unknown address as over a wrong password."""
        refuse_throttled(max(throttle.LOG_IN.blocked_for(ip, email), throttle.LOG_IN_ANY.blocked_for(ip)))
        self.user = authenticate(self.request, email=email, password=password)
        if self.user is None:
            throttle.LOG_IN.count(ip, email)
            throttle.LOG_IN_ANY.count(ip)
            failed("password", email, ip)
            raise forms.ValidationError(_("This e-mail address and password do not belong together."), code="wrong")
        throttle.LOG_IN.forget(ip, email)
        self._login = Login(user=self.user, email=email)

    def login(self, request: HttpRequest, redirect_url: str | None = None) -> HttpResponse:
        """On to the second factor, or in."""
        self._login.redirect_url = redirect_url
        answer: HttpResponse = perform_password_login(request, {"email": self.cleaned_data["login"]}, self._login)
        return answer


class PasswordAgainForm(ReauthenticateForm):
    """The password once more, before something about the log-in is changed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"] = password_field(gettext_lazy("Password"), autofocus=True)


class _Code(forms.Form):
    """A code of the app or a recovery code, of the person that ``user`` is."""

    user: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"] = code_field()

    def clean_code(self) -> str:
        code, who = str(self.cleaned_data["code"]), str(self.user.pk)
        refuse_throttled(throttle.CODE.blocked_for(who))
        self.authenticator = second_factor.use_code(self.user, code)
        if self.authenticator is None:
            throttle.CODE.count(who)
            failed("code", self.user.email, client_ip(context.request))
            raise forms.ValidationError(
                _("This code is not right, or it was used already. Wait for the next one."), code="wrong"
            )
        throttle.CODE.forget(who)
        return code


class CodeForm(_Code, AuthenticateForm):
    pass


class CodeAgainForm(_Code, CodeReauthenticateForm):
    pass


class ActivateTOTPForm(AllauthActivateTOTPForm):
    """The secret that is being set up waits in the session, which is a table: encrypted there too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.user = kwargs.pop("user")
        forms.Form.__init__(self, *args, **kwargs)
        self.fields["code"] = code_field()
        self.secret = self._secret()
        self.step = 0

    def _secret(self) -> str:
        session = context.request.session
        kept = session.get(SECRET_SESSION_KEY) if self.is_bound else None
        if kept:
            return second_factor.decrypt(kept)
        secret = str(generate_totp_secret())
        session[SECRET_SESSION_KEY] = second_factor.encrypt(secret)
        return secret

    def clean_code(self) -> str:
        code, who = str(self.cleaned_data["code"]), str(self.user.pk)
        refuse_throttled(throttle.CODE.blocked_for(who))
        step = second_factor.matching_step(self.secret, code)
        if step is None:
            throttle.CODE.count(who)
            raise forms.ValidationError(_("This is not the code of this key. Is the clock of the phone right?"))
        self.step = step
        return code


class AddPasskeyForm(AddWebAuthnForm):
    """Every passkey is one to log in with: it stays on the device and asks for a finger, a face or a PIN."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"] = forms.CharField(
            label=gettext_lazy("Name"),
            max_length=60,
            initial=gettext_lazy("This device"),
            help_text=gettext_lazy("So that you know it again: phone, laptop, key on the key ring."),
            widget=forms.TextInput(attrs=_attributes(autocomplete="off", autofocus=True)),
        )
        self.fields["passwordless"] = forms.BooleanField(initial=True, widget=forms.HiddenInput)
        self.fields["credential"].widget.attrs["data-passkey-answer"] = ""


class RenamePasskeyForm(EditWebAuthnForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        widget = forms.TextInput(attrs=_attributes(autocomplete="off", autofocus=True))
        self.fields["name"] = forms.CharField(label=gettext_lazy("Name"), max_length=60, widget=widget)


def new_password_fields() -> dict[str, forms.CharField]:
    return {
        "password1": password_field(gettext_lazy("New password"), new=True),
        "password2": password_field(gettext_lazy("New password, once more"), new=True),
    }


class NewPasswordForm(ChangePasswordForm):
    """One's own password: the old one is asked for, and counted like a log-in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.clear()
        self.fields["oldpassword"] = password_field(gettext_lazy("Current password"), autofocus=True)
        self.fields.update(new_password_fields())
        self.fields["password1"].help_text = password_help()

    def clean_oldpassword(self) -> str:
        old = str(self.cleaned_data["oldpassword"])
        if not get_adapter().reauthenticate(self.user, old):
            raise forms.ValidationError(_("This is not your current password."), code="wrong")
        return old

    def clean_password1(self) -> str:
        password = str(self.cleaned_data["password1"])
        validate_password(password, self.user)
        return password

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = self.cleaned_data
        if "password1" in given and given["password1"] != given.get("password2"):
            self.add_error("password2", _("The two are not the same."))
        return given


class LinkPasswordForm(forms.Form):
    """A password by a link that an admin gave out. What makes it good enough is asked of the service layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.update(new_password_fields())
        self.fields["password1"].widget.attrs["autofocus"] = True
        self.fields["password1"].help_text = password_help()

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = self.cleaned_data
        if "password1" in given and given["password1"] != given.get("password2"):
            self.add_error("password2", _("The two are not the same."))
        return given


def password_help() -> str:
    return _("At least 12 characters, not a common password, and not like your name or address.")
