"""Silences and maintenance windows: what keeps alerts quiet, and making, changing and ending it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods

from apps.alerts import maintenance, silencing
from apps.alerts.models import Maintenance, Silence
from apps.alerts.shown import visible_line
from apps.console.forms import OptionalReasonForm, ReasonForm
from apps.console.quiet_forms import ChangeMaintenanceForm, ExtendForm, MaintenanceForm, SilenceForm, as_lines
from apps.console.selectors.quiet import can_be_chosen, held_rows, quiet_now, window_row
from apps.console.views.alerts import home
from apps.console.web import Dialog, actor_of, add_errors, crumbs, done, page, posted, show_dialog
from apps.core.actor import ALERTS_READ, ALERTS_WORK, require
from apps.core.errors import Conflict, NotFound, PortalError
from apps.core.live import live_page


@page(ALERTS_READ)
@require_GET
def quiet(request: HttpRequest) -> HttpResponse:
    context = {"view": quiet_now(), "section": "quiet", "crumbs": crumbs(home(), _("Silences and maintenance"))}
    return live_page(request, "console/quiet.html", context)


@page(ALERTS_READ)
@require_GET
def window(request: HttpRequest, window_id: int) -> HttpResponse:
    found = _window(window_id)
    row = window_row(found)
    context = {
        "row": row,
        "held": held_rows(found) if row.holds else [],
        "crumbs": crumbs(home(), _way(), _("maintenance {number}").format(number=found.pk)),
    }
    return live_page(request, "console/quiet_window.html", context)


def _way() -> tuple[str, str]:
    return _("Silences and maintenance"), reverse("quiet")


def _window(window_id: int) -> Maintenance:
    found = Maintenance.objects.filter(pk=window_id).first()
    if found is None:
        raise NotFound(_("There is no maintenance window {number}.").format(number=window_id))
    return found


def _silence(silence_id: int) -> Silence:
    found = Silence.objects.select_related("episode").filter(pk=silence_id).first()
    if found is None:
        raise NotFound(_("There is no silence {number}.").format(number=silence_id))
    return found


def _asked(request: HttpRequest, form: forms.Form, dialog: Dialog, act: Callable[[], str], url: str) -> HttpResponse:
    """A dialog: shown, refused with the reason at its field, or done and on to ``url``."""
    if request.method == "POST" and form.is_valid():
        try:
            return done(request, act(), url)
        except PortalError as error:
            add_errors(form, error)
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _dialog(request: HttpRequest, heading: str, button: str, back_url: str = "", **more: Any) -> Dialog:
    return Dialog(
        heading=heading,
        button=button,
        action_url=request.get_full_path(),
        back_url=back_url or reverse("quiet"),
        crumbs=(home(), _way()),
        **more,
    )


# --- silences -----------------------------------------------------------------------------------
@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def silence(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    require(actor, ALERTS_WORK)
    wanted = request.GET.get("alert", "")
    number = int(wanted) if wanted.isdecimal() and len(wanted) < 19 else None
    choices = can_be_chosen(number)
    if not choices:
        raise Conflict(_("No open alert comes from an Alertmanager whose API address is set, so none can be silenced."))
    form = SilenceForm(posted(request), alerts=choices, initial={"alert": number})

    def act() -> str:
        given = form.cleaned_data
        made = silencing.silence(episode_id=given["alert"], actor=actor, until=form.ends_at(), reason=given["reason"])
        name = visible_line(made.episode.name, 120)
        return _("{source} is asked to be silent about {name}.").format(source=made.source_id, name=name)

    effects = (
        _("Its Alertmanager tells nobody of this one alert until then, neither us nor others it tells."),
        _("It is ended when the alert is over. If the alert still fires at its end, the escalation goes on."),
    )
    dialog = _dialog(request, _("Silence an alert"), _("Silence"), consequences=effects)
    return _asked(request, form, dialog, act, reverse("quiet"))


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def extend(request: HttpRequest, silence_id: int) -> HttpResponse:
    actor = actor_of(request)
    require(actor, ALERTS_WORK)
    found = _silence(silence_id)
    form = ExtendForm(posted(request))
    name = visible_line(found.episode.name, 120)

    def act() -> str:
        silencing.extend(silence_id=silence_id, actor=actor, until=form.ends_at(), reason=form.cleaned_data["reason"])
        return _("The silence of {name} has another end; its Alertmanager is told.").format(name=name)

    heading = _("Change the end of the silence of {name}").format(name=name)
    return _asked(request, form, _dialog(request, heading, _("Change the end")), act, reverse("quiet"))


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def end_silence(request: HttpRequest, silence_id: int) -> HttpResponse:
    actor = actor_of(request)
    require(actor, ALERTS_WORK)
    found = _silence(silence_id)
    form = OptionalReasonForm(posted(request))
    name = visible_line(found.episode.name, 120)

    def act() -> str:
        silencing.end(silence_id=silence_id, actor=actor, reason=form.cleaned_data["reason"])
        return _("The silence of {name} is being ended.").format(name=name)

    effects = (_("If the alert still fires, what is due of its escalation is told within seconds."),)
    dialog = _dialog(request, _("End the silence of {name}").format(name=name), _("End it now"), consequences=effects)
    return _asked(request, form, dialog, act, reverse("quiet"))


# --- maintenance windows ------------------------------------------------------------------------
@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def plan(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    require(actor, ALERTS_WORK)
    service = visible_line(request.GET.get("service", ""), 64)
    form = MaintenanceForm(posted(request), initial={"match": f"service = {service}" if service else ""})

    def act() -> str:
        begins, ends = form.window()
        given = form.cleaned_data
        made = maintenance.plan(
            match=given["match"], starts_at=begins, ends_at=ends, reason=given["reason"], actor=actor
        )
        return _("Maintenance window {number} is planned.").format(number=made.pk)

    effects = (
        _("Alerts that match are logged as ever and page nobody."),
        _("Those that still fire at the end page then; those that are over by then page nobody."),
    )
    dialog = _dialog(request, _("Plan a maintenance window"), _("Plan it"), consequences=effects, wide=True)
    return _asked(request, form, dialog, act, reverse("quiet"))


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def change(request: HttpRequest, window_id: int) -> HttpResponse:
    actor = actor_of(request)
    require(actor, ALERTS_WORK)
    found = _window(window_id)
    first = {"match": as_lines(found.match), "lasts": "custom", "until": found.ends_at}
    form = ChangeMaintenanceForm(posted(request), initial=first)

    def act() -> str:
        given = form.cleaned_data
        maintenance.change(
            window_id=window_id, match=given["match"], ends_at=form.ends_at(), reason=given["reason"], actor=actor
        )
        return _("Maintenance window {number} is changed.").format(number=window_id)

    url = reverse("maintenance", args=[window_id])
    heading = _("Change maintenance window {number}").format(number=window_id)
    dialog = _dialog(request, heading, _("Change it"), url, consequences=(_waiting(found),), wide=True)
    return _asked(request, form, dialog, act, url)


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def end_window(request: HttpRequest, window_id: int) -> HttpResponse:
    actor = actor_of(request)
    require(actor, ALERTS_WORK)
    found = _window(window_id)
    form = ReasonForm(posted(request))

    def act() -> str:
        maintenance.end(window_id=window_id, reason=form.cleaned_data["reason"], actor=actor)
        return _("Maintenance window {number} is over.").format(number=window_id)

    heading = _("End maintenance window {number}").format(number=window_id)
    dialog = _dialog(request, heading, _("End it now"), consequences=(_waiting(found),))
    return _asked(request, form, dialog, act, reverse("quiet"))


def _waiting(found: Maintenance) -> str:
    pages = maintenance.held(found).count()
    if not pages:
        return _("No page waits for its end.")
    return ngettext(
        "{n} page waits for its end and goes out when nothing holds it any more.",
        "{n} pages wait for its end and go out when nothing holds them any more.",
        pages,
    ).format(n=pages)
