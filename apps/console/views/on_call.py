"""Who is on call: rotations, the weeks to come, somebody instead, and handing over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from apps.alerts import on_call as services
from apps.alerts.models import Rotation
from apps.alerts.on_call import rotation_of
from apps.alerts.reaching import who
from apps.console.forms import OptionalReasonForm, ReasonForm
from apps.console.on_call_forms import HandOverForm, InsteadForm, RotationForm, initial_of
from apps.console.selectors import on_call as selectors
from apps.console.shell import portal_of
from apps.console.web import Dialog, actor_of, add_errors, crumbs, done, may, page, posted, show_dialog
from apps.core.actor import ALERTS_EDIT, ALERTS_READ, ALERTS_WORK, MESSAGES_REVEAL, require
from apps.core.clock import now
from apps.core.errors import NotFound, PortalError
from apps.core.live import live_page

Way = tuple[tuple[str, str] | str, ...]
# A hand-over is usually for a shift of work.
USUAL = timedelta(hours=8)


def home() -> tuple[str, str]:
    return _("On call"), reverse("on-call")


def _at(name: str) -> Way:
    return home(), (name, reverse("rotation", args=[name]))


def _email(request: HttpRequest) -> str:
    return str(getattr(request.user, "email", ""))


@page(ALERTS_READ)
@require_GET
def rotations(request: HttpRequest) -> HttpResponse:
    found = selectors.rotations(now(), email=_email(request), clear=may(request, MESSAGES_REVEAL))
    context = {
        "rotations": found,
        "gaps": [view for view in found if not view.current.person or view.problem],
        "mine": [view for view in found if view.mine],
        "section": "on-call",
        "crumbs": crumbs(_("On call")),
    }
    return live_page(request, "console/oncall.html", context)


@page(ALERTS_READ)
@require_GET
def rotation(request: HttpRequest, name: str) -> HttpResponse:
    view = selectors.rotation_view(name, now(), email=_email(request), clear=may(request, MESSAGES_REVEAL))
    context = {"view": view, "rotation": view.rotation, "section": "on-call", "crumbs": crumbs(home(), name)}
    return live_page(request, "console/oncall_rotation.html", context)


# --- rotations --------------------------------------------------------------------------------------
@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    require(actor, ALERTS_EDIT)
    today = timezone.localtime(now()).date()
    initial = {"zone": timezone.get_current_timezone_name(), "first_day": today}
    form = RotationForm(posted(request), services=_services(request), initial=initial)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            made = services.create_rotation(name=given["name"], plan=form.plan(), actor=actor, reason=given["reason"])
        except PortalError as error:
            add_errors(form, error)
        else:
            return done(request, _now_words(made), reverse("rotation", args=[made.name]))
    dialog = Dialog(
        heading=_("Make a rotation"),
        lead=_("People who take turns in being called. A target of the routing names it."),
        button=_("Make the rotation"),
        action_url=reverse("rotation-new"),
        back_url=reverse("on-call"),
        crumbs=(home(),),
        wide=True,
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _services(request: HttpRequest) -> list[str]:
    return [service.name for service in portal_of(request).services]


def _now_words(found: Rotation) -> str:
    """What a change has done to whoever is called now."""
    person = who(found, now())
    if person is None:
        return _("{name} is saved. Nobody is on call in it now.").format(name=found.name)
    return _("{name} is saved. {person} is on call now.").format(name=found.name, person=person["email"])


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, name: str) -> HttpResponse:
    actor = actor_of(request)
    require(actor, ALERTS_EDIT)
    found = rotation_of(name)
    form = RotationForm(posted(request), services=_services(request), fixed=True, initial=initial_of(found))
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            made = services.change_rotation(
                name=name,
                plan=form.plan(),
                actor=actor,
                reason=given["reason"],
                seen_version=given["seen_version"] or 0,
            )
        except PortalError as error:
            add_errors(form, error)
        else:
            return done(request, _now_words(made), reverse("rotation", args=[name]))
    dialog = Dialog(
        heading=_("Change {name}").format(name=name),
        lead=_("It holds at once, also for alerts that are being escalated."),
        button=_("Save the rotation"),
        action_url=reverse("rotation-edit", args=[name]),
        back_url=reverse("rotation", args=[name]),
        crumbs=_at(name),
        wide=True,
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def remove(request: HttpRequest, name: str) -> HttpResponse:
    actor = actor_of(request)
    require(actor, ALERTS_EDIT)
    rotation_of(name)
    form = ReasonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            services.remove_rotation(name=name, actor=actor, reason=form.cleaned_data["reason"])
        except PortalError as error:
            add_errors(form, error)
        else:
            return done(request, _("The rotation {name} is removed.").format(name=name), reverse("on-call"))
    dialog = Dialog(
        heading=_("Remove {name}").format(name=name),
        lead=_("Its people, turns and overrides are gone. This cannot be undone; the audit trail keeps what it was."),
        button=_("Remove {name}").format(name=name),
        button_class="danger-solid",
        action_url=reverse("rotation-remove", args=[name]),
        back_url=reverse("rotation", args=[name]),
        crumbs=_at(name),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


# --- somebody instead ---------------------------------------------------------------------------------
@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def instead(request: HttpRequest, name: str) -> HttpResponse:
    require(actor_of(request), ALERTS_WORK)
    found = rotation_of(name)
    form = InsteadForm(posted(request), people=_people(found), initial={"until": _later()})

    def act() -> str:
        given = form.cleaned_data
        made = services.put_instead(
            name=name,
            person=form.who(),
            since=given["since"],
            until=given["until"],
            actor=actor_of(request),
            reason=given["reason"],
        )
        return _("{person} is on call in {name} for that time.").format(person=made.person, name=name)

    dialog = Dialog(
        heading=_("Somebody instead in {name}").format(name=name),
        lead=_("Whoever’s turn it is; the newest override wins. Times are in {zone}.").format(
            zone=portal_of(request).zone
        ),
        button=_("Put them on call"),
        action_url=reverse("rotation-instead", args=[name]),
        back_url=reverse("rotation", args=[name]),
        crumbs=_at(name),
    )
    return _asked(request, form, dialog, act)


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def hand_over(request: HttpRequest, name: str) -> HttpResponse:
    """From whoever is on call now to somebody who takes turns too."""
    require(actor_of(request), ALERTS_WORK)
    found = rotation_of(name)
    current = who(found, now())
    others = [email for email in _people(found) if current is None or email != current["email"]]
    form = HandOverForm(posted(request), people=others, initial={"until": _later(), "person": _me(request, others)})

    def act() -> str:
        given = form.cleaned_data
        made = services.put_instead(
            name=name,
            person=form.who(),
            since=None,
            until=given["until"],
            actor=actor_of(request),
            reason=given["reason"],
        )
        return _("{person} is on call in {name} from now on.").format(person=made.person, name=name)

    lead = (
        _("{person} is on call now. Times are in {zone}.").format(person=current["email"], zone=portal_of(request).zone)
        if current
        else _("Nobody is on call now. Times are in {zone}.").format(zone=portal_of(request).zone)
    )
    dialog = Dialog(
        heading=_("Hand {name} over").format(name=name),
        lead=lead,
        consequences=() if others else (_("Nobody else takes turns here. Put somebody on call instead."),),
        blocked=not others,
        button=_("Hand over now"),
        action_url=reverse("rotation-hand-over", args=[name]),
        back_url=reverse("rotation", args=[name]),
        crumbs=_at(name),
    )
    return _asked(request, form, dialog, act)


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def end(request: HttpRequest, name: str, override_id: int) -> HttpResponse:
    require(actor_of(request), ALERTS_WORK)
    found = rotation_of(name)
    override = found.overrides.filter(pk=override_id).first()
    if override is None:
        raise NotFound(_("There is no such override of {name}.").format(name=name))
    form = OptionalReasonForm(posted(request))

    def act() -> str:
        services.end_instead(
            name=name, override_id=override_id, actor=actor_of(request), reason=form.cleaned_data["reason"]
        )
        return _now_words(found)

    dialog = Dialog(
        heading=_("End it for {person}").format(person=override.person),
        lead=_("Whoever’s turn it is, is called again from now on."),
        button=_("End it now"),
        action_url=reverse("rotation-override-end", args=[name, override_id]),
        back_url=reverse("rotation", args=[name]),
        crumbs=_at(name),
    )
    return _asked(request, form, dialog, act)


def _asked(request: HttpRequest, form: forms.Form, dialog: Dialog, act: Callable[[], str]) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        try:
            return done(request, act(), dialog.back_url)
        except PortalError as error:
            add_errors(form, error)
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _people(found: Rotation) -> list[str]:
    return [person["email"] for person in found.people]


def _me(request: HttpRequest, others: list[str]) -> str:
    """ "Take it from me" is asked by whoever has it; "give it to me" by whoever has not."""
    email = _email(request)
    return email if email in others else (others[0] if others else "")


def _later() -> Any:
    """In the reader's zone, to the full hour."""
    return timezone.localtime(now() + USUAL).replace(minute=0, second=0, microsecond=0)
