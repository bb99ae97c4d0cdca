"""Settings: oneself, and what an installation is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import people, sessions
from apps.accounts.models import User
from apps.console.forms import text_input
from apps.console.selectors import installation
from apps.console.web import actor_of, add_errors, crumbs, done, may, page, posted, refused
from apps.console.zones import ZoneField
from apps.core.actor import APIKEYS_MANAGE, PEOPLE_MANAGE, SERVICES_READ
from apps.core.errors import PortalError
from apps.core.http import client_ip


@dataclass(frozen=True, slots=True)
class Section:
    """``permission`` is what its page needs; empty: everyone's own."""

    name: str
    label: Any
    text: Any
    icon: str
    permission: str = ""


SECTIONS: Final = (
    Section("profile", gettext_lazy("Profile"), gettext_lazy("Your name, language and time zone."), "user-circle"),
    Section(
        "mfa_index",
        gettext_lazy("Security"),
        gettext_lazy("Password, authenticator app, passkeys and recovery codes."),
        "shield-check",
    ),
    Section(
        "sessions",
        gettext_lazy("Sessions"),
        gettext_lazy("Where you are logged in, and how to end it."),
        "computer-desktop",
    ),
    Section(
        "keys",
        gettext_lazy("API keys"),
        gettext_lazy("What programs may do here: make, look through and revoke keys."),
        "key",
        APIKEYS_MANAGE,
    ),
    Section(
        "people",
        gettext_lazy("People and roles"),
        gettext_lazy("Who may log in, as what, and what each role may do."),
        "users",
        PEOPLE_MANAGE,
    ),
    Section(
        "channels",
        gettext_lazy("Channels"),
        gettext_lazy("How services are reached, and which service uses which."),
        "signal",
        SERVICES_READ,
    ),
    Section(
        "schedules",
        gettext_lazy("Schedules"),
        gettext_lazy("What the portal does by itself, how often, and when it last did."),
        "clock",
        SERVICES_READ,
    ),
)


def show(request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """A page of the settings. Never kept by a cache: it is about people and their secrets."""
    found = {"sections": sections_for(request), **context}
    response = render(request, template, found, status=status)
    response["Cache-Control"] = "private, no-store"
    return response


def sections_for(request: HttpRequest) -> list[Section]:
    return [section for section in SECTIONS if not section.permission or may(request, section.permission)]


def trail(*path: Any) -> list[Any]:
    """The way to a page of the settings."""
    return crumbs((_("Settings"), reverse("settings")), *path)


def person_of(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise TypeError("a page needs a person who is logged in")
    return request.user


@page(SERVICES_READ)
@require_GET
def hub(request: HttpRequest) -> HttpResponse:
    return show(request, "console/settings.html", {"crumbs": crumbs(_("Settings")), "section": "settings"})


# --- profile -------------------------------------------------------------------------------------
class ProfileForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        required=False,
        widget=text_input(autocomplete="name"),
        help_text=gettext_lazy("What others see. Empty: your e-mail address."),
    )
    language = forms.ChoiceField(label=gettext_lazy("Language"), required=False)
    time_zone = ZoneField(
        label=gettext_lazy("Time zone"),
        help_text=gettext_lazy("Times on your pages are told in it. Empty: UTC."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        language = self.fields["language"]
        assert isinstance(language, forms.ChoiceField)
        language.choices = [("", _("As the browser asks for")), *django_settings.LANGUAGES]


@page(SERVICES_READ)
@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    initial = {"name": person.name, "language": person.language, "time_zone": person.time_zone}
    form = ProfileForm(posted(request), initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            people.update_profile(person=person, changes=form.cleaned_data, ip=client_ip(request))
        except PortalError as error:
            add_errors(form, error)
        else:
            return done(request, _("Your profile is saved."), reverse("profile"))
    context = {"form": form, "crumbs": trail(_("Profile")), "section": "profile"}
    return show(request, "console/settings_profile.html", context, status=422 if form.errors else 200)


# --- sessions ------------------------------------------------------------------------------------
@page(SERVICES_READ)
@require_GET
def session_list(request: HttpRequest) -> HttpResponse:
    rows = sessions.sessions_of(person_of(request), request.session.session_key or "")
    return show(
        request,
        "console/settings_sessions.html",
        {"rows": rows, "crumbs": trail(_("Sessions")), "section": "sessions"},
    )


@page(SERVICES_READ)
@require_POST
def session_end(request: HttpRequest, session_id: int) -> HttpResponse:
    url = reverse("sessions")
    try:
        sessions.end_one(person=person_of(request), session_id=session_id, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    return done(request, _("That session is ended."), url)


@page(SERVICES_READ)
@require_POST
def sessions_end_others(request: HttpRequest) -> HttpResponse:
    keep = request.session.session_key or ""
    sessions.end_others(person=person_of(request), keep=keep, actor=actor_of(request))
    return done(request, _("You are logged out everywhere but here."), reverse("sessions"))


# --- the installation ----------------------------------------------------------------------------
@page(SERVICES_READ)
@require_GET
def channels(request: HttpRequest) -> HttpResponse:
    context = {"rows": installation.channels(), "crumbs": trail(_("Channels")), "section": "channels"}
    return show(request, "console/settings_channels.html", context)


@page(SERVICES_READ)
@require_GET
def schedules(request: HttpRequest) -> HttpResponse:
    context = {"rows": installation.schedules(), "crumbs": trail(_("Schedules")), "section": "schedules"}
    return show(request, "console/settings_schedules.html", context)
