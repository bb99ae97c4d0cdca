"""People and roles: who may log in, as what. Every change is checked and written down by the service layer."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts import people, sessions, throttle
from apps.accounts.forms import LinkPasswordForm
from apps.accounts.models import User
from apps.accounts.people import NewLink
from apps.accounts.roles import Role
from apps.accounts.services import change_person
from apps.console.forms import OptionalReasonForm, text_input
from apps.console.selectors import identities
from apps.console.views.settings_hub import show, trail
from apps.console.web import (
    Dialog,
    actor_of,
    add_errors,
    done,
    is_htmx,
    page,
    posted,
    show_dialog,
)
from apps.core.actor import PEOPLE_MANAGE
from apps.core.errors import NotFound, PortalError
from apps.core.http import client_ip


@page(PEOPLE_MANAGE)
@require_GET
def people_list(request: HttpRequest) -> HttpResponse:
    context = {
        "rows": identities.people(),
        "matrix": identities.role_matrix(),
        "roles": Role.choices,
        "crumbs": trail(_("People and roles")),
        "section": "people",
    }
    return show(request, "console/people.html", context)


@page(PEOPLE_MANAGE)
@require_GET
def person(request: HttpRequest, person_id: int) -> HttpResponse:
    found = get_object_or_404(User, pk=person_id)
    current = request.session.session_key or ""
    context = {
        "row": identities.person_row(found),
        "sessions": sessions.sessions_of(found, current),
        "history": identities.history_of(found),
        "crumbs": trail((_("People"), reverse("people")), str(found)),
        "section": "people",
    }
    return show(request, "console/people_person.html", context)


# --- making somebody -----------------------------------------------------------------------------
class RoleField(forms.ChoiceField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=gettext_lazy("Role"), choices=Role.choices, widget=forms.Select(attrs={"class": "input"}), **kwargs
        )


class InviteForm(forms.Form):
    email = forms.EmailField(
        label=gettext_lazy("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"class": "input", "autofocus": True, "autocomplete": "off"}),
    )
    name = forms.CharField(label=gettext_lazy("Name"), max_length=100, required=False, widget=text_input())
    role = RoleField(initial=Role.VIEWER)


@page(PEOPLE_MANAGE)
@require_http_methods(["GET", "POST"])
def invite(request: HttpRequest) -> HttpResponse:
    form = InviteForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            link = people.invite(actor=actor_of(request), **form.cleaned_data)
        except PortalError as error:
            add_errors(form, error)
        else:
            return _link_page(request, link)
    dialog = Dialog(
        heading=_("Invite a person"),
        lead=_("They set their password with a link that you send them. It is shown once and lives for a day."),
        button=_("Invite"),
        action_url=reverse("people-invite"),
        back_url=reverse("people"),
        crumbs=_way(),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _way() -> tuple[tuple[str, str] | str, ...]:
    return ((_("Settings"), reverse("settings")), (_("People"), reverse("people")))


def _link_page(request: HttpRequest, link: NewLink) -> HttpResponse:
    """The one time a link is shown: an answer to a POST, kept by nobody."""
    context = {
        "person": link.person,
        "url": request.build_absolute_uri(reverse("password-link", args=[link.token])),
        "expires_at": link.expires_at,
        "crumbs": trail((_("People"), reverse("people")), _("Password link")),
    }
    template = "console/people_link_body.html" if is_htmx(request) else "console/people_link.html"
    response = render(request, template, context)
    response["Cache-Control"] = "private, no-store"
    return response


# --- changing somebody ---------------------------------------------------------------------------
class RoleForm(OptionalReasonForm):
    role = RoleField()
    field_order = ("role", "reason")


@page(PEOPLE_MANAGE)
@require_http_methods(["GET", "POST"])
def role(request: HttpRequest, person_id: int) -> HttpResponse:
    found = get_object_or_404(User, pk=person_id)
    form = RoleForm(posted(request), initial={"role": found.role})

    def act(reason: str) -> str:
        changed = change_person(
            email=found.email, changes={"role": form.cleaned_data["role"]}, actor=actor_of(request), reason=reason
        )
        return _("{person} is now {role}.").format(person=changed, role=changed.get_role_display())

    dialog = _dialog(
        found,
        "people-role",
        _("Role of {person}").format(person=found),
        _("Change role"),
        (_("It holds from their next press on, in every browser they are logged in with."),),
    )
    return _asked(request, dialog, form, act)


@page(PEOPLE_MANAGE)
@require_http_methods(["GET", "POST"])
def activate(request: HttpRequest, person_id: int) -> HttpResponse:
    """Lock out, or let in again."""
    found = get_object_or_404(User, pk=person_id)
    form = OptionalReasonForm(posted(request))
    inside = found.is_active

    def act(reason: str) -> str:
        change_person(email=found.email, changes={"is_active": not inside}, actor=actor_of(request), reason=reason)
        if inside:
            return _("{person} may not log in any more.").format(person=found)
        return _("{person} may log in again.").format(person=found)

    live = len(sessions.sessions_of(found))
    consequences = (
        (
            _("They are logged out at once, of {count} browsers. API keys they made go on working.").format(count=live),
            _("What they did stays in the audit trail. You can let them in again."),
        )
        if inside
        else (_("Their password, role and second factor are as they were."),)
    )
    heading = _("Lock {person} out") if inside else _("Let {person} in again")
    button = _("Lock out") if inside else _("Let in")
    dialog = _dialog(found, "people-activate", heading.format(person=found), button, consequences, danger=inside)
    return _asked(request, dialog, form, act)


@page(PEOPLE_MANAGE)
@require_http_methods(["GET", "POST"])
def reset_factor(request: HttpRequest, person_id: int) -> HttpResponse:
    found = get_object_or_404(User, pk=person_id)
    form = OptionalReasonForm(posted(request))

    def act(reason: str) -> str:
        people.reset_second_factor(email=found.email, actor=actor_of(request), reason=reason)
        return _("{person} has no second factor any more.").format(person=found)

    consequences = (
        _("Authenticator app, passkeys and recovery codes are forgotten. The password stays."),
        _("They are logged out everywhere. Make sure that it is really them who asks."),
    )
    heading = _("Reset the second factor of {person}").format(person=found)
    dialog = _dialog(found, "people-reset-factor", heading, _("Reset"), consequences, danger=True)
    return _asked(request, dialog, form, act)


@page(PEOPLE_MANAGE)
@require_http_methods(["GET", "POST"])
def end_sessions(request: HttpRequest, person_id: int) -> HttpResponse:
    found = get_object_or_404(User, pk=person_id)
    form = OptionalReasonForm(posted(request))

    def act(reason: str) -> str:
        people.end_sessions_of(email=found.email, actor=actor_of(request), reason=reason)
        return _("{person} is logged out everywhere.").format(person=found)

    heading = _("Log {person} out everywhere").format(person=found)
    dialog = _dialog(found, "people-end-sessions", heading, _("Log out"), (_("They can log in again at once."),))
    return _asked(request, dialog, form, act)


@page(PEOPLE_MANAGE)
@require_http_methods(["GET", "POST"])
def new_link(request: HttpRequest, person_id: int) -> HttpResponse:
    found = get_object_or_404(User, pk=person_id)
    form = forms.Form(posted(request))
    if request.method == "POST":
        try:
            return _link_page(request, people.make_password_link(email=found.email, actor=actor_of(request)))
        except PortalError as error:
            form.is_valid()
            add_errors(form, error)
    consequences = (
        _("The link is shown once, works once and lives for a day. An earlier link stops working now."),
        _("Their password stays until the link is used; then all their sessions end."),
    )
    heading = _("Password link for {person}").format(person=found)
    dialog = _dialog(found, "people-link", heading, _("Make a link"), consequences)
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _dialog(
    found: User, name: str, heading: str, button: str, consequences: tuple[str, ...], *, danger: bool = False
) -> Dialog:
    return Dialog(
        heading=heading,
        button=button,
        button_class="danger-solid" if danger else "primary",
        consequences=consequences,
        action_url=reverse(name, args=[found.pk]),
        back_url=reverse("person", args=[found.pk]),
        crumbs=(*_way(), (str(found), reverse("person", args=[found.pk]))),
    )


def _asked(request: HttpRequest, dialog: Dialog, form: forms.Form, act: Any) -> HttpResponse:
    """Show the dialog; once it is answered do it and go back, or say why not."""
    if request.method == "POST" and form.is_valid():
        try:
            return done(request, act(form.cleaned_data["reason"]), dialog.back_url)
        except PortalError as error:
            add_errors(form, error)
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


# --- the other end of a password link ------------------------------------------------------------
@login_not_required
@require_http_methods(["GET", "POST"])
def use_link(request: HttpRequest, token: str) -> HttpResponse:
    """Whoever holds the link sets the password; then they log in with it as always."""
    ip = client_ip(request)
    form = LinkPasswordForm(posted(request))
    context: dict[str, Any] = {"form": form}
    status = 200
    try:
        context["person"] = _person_of_link(token, ip)
        if request.method == "POST" and form.is_valid():
            people.use_password_link(token=token, password=form.cleaned_data["password1"], ip=ip)
            return done(request, _("Your password is set. Log in with it."), reverse("login"))
    except NotFound as error:
        context, status = {"problem": error.message}, 404
    except PortalError as error:
        add_errors(form, error)
    response = render(request, "console/password_link.html", context, status=422 if form.errors else status)
    response["Cache-Control"] = "private, no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response


def _person_of_link(token: str, ip: str) -> User:
    if throttle.LINK.blocked_for(ip):
        raise NotFound(_("Too many links that do not work came from your address. Try again in 15 minutes."))
    try:
        return people.link_of(token).person
    except NotFound:
        throttle.LINK.count(ip)
        raise
