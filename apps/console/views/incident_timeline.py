"""The timeline of an incident by itself, what people do with its lines, and naming the cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.console.forms import OptionalReasonForm, text_input
from apps.console.selectors.incident_timeline import culprit_of, suspects_of, timeline_of
from apps.console.web import (
    Dialog,
    actor_of,
    add_errors,
    back_url,
    crumbs,
    done,
    page,
    posted,
    refused,
    show_dialog,
)
from apps.core.actor import INCIDENTS_READ, INCIDENTS_WORK, require
from apps.core.db import database_now
from apps.core.errors import Conflict, NotFound, PortalError
from apps.core.language import LocalDateTimeField
from apps.core.live import live_page
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.selectors import get_incident
from apps.incidents.suspects import Suspect, rank
from apps.incidents.suspects_naming import name_culprit, take_back_culprit
from apps.incidents.timeline import services

Act = Callable[[dict[str, Any]], str]


class LineForm(forms.Form):
    text = forms.CharField(
        label=gettext_lazy("What happened"),
        max_length=services.LONGEST_LINE,
        widget=forms.Textarea(
            attrs={"rows": 3, "autofocus": True, "placeholder": gettext_lazy("Called the bank: they see it too")}
        ),
        error_messages={"required": gettext_lazy("Say what happened.")},
    )
    at = LocalDateTimeField(label=gettext_lazy("When (now, if left empty)"), required=False)
    url = forms.CharField(
        label=gettext_lazy("Link (optional)"),
        max_length=services.LONGEST_LINK,
        required=False,
        widget=text_input(placeholder="https://", inputmode="url"),
        help_text=gettext_lazy("https://, http://, or a page of this portal beginning with /"),
    )


class NamingForm(OptionalReasonForm):
    kind = forms.CharField(max_length=24, widget=forms.HiddenInput)
    ref = forms.CharField(max_length=200, widget=forms.HiddenInput)


def _way(incident: Incident) -> tuple[tuple[str, str], tuple[str, str]]:
    return ((_("Incidents"), reverse("incidents")), (f"INC-{incident.pk}", reverse("incident", args=[incident.pk])))


@page(INCIDENTS_READ)
@require_GET
def timeline(request: HttpRequest, incident_id: int) -> HttpResponse:
    found = get_incident(incident_id)
    context = {
        "incident": found,
        "timeline": timeline_of(found, request.GET),
        "crumbs": crumbs(*_way(found), _("Timeline")),
    }
    return live_page(request, "console/incident_timeline.html", context)


# --- lines of people ------------------------------------------------------------------------------
@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def add(request: HttpRequest, incident_id: int) -> HttpResponse:
    actor, found = actor_of(request), get_incident(incident_id)
    require(actor, INCIDENTS_WORK)
    form = LineForm(posted(request))
    dialog = Dialog(
        heading=_("Add a line to the timeline of INC-{number}").format(number=found.pk),
        button=_("Add the line"),
        action_url=reverse("incident-line-add", args=[found.pk]),
        back_url=_timeline_url(found.pk),
        crumbs=_way(found),
    )

    def act(given: dict[str, Any]) -> str:
        services.add_line(incident_id=found.pk, actor=actor, **given)
        return _("Your line is in the timeline.")

    return _ask(request, dialog, form, act)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, incident_id: int, line_id: int) -> HttpResponse:
    actor, found, line = _own(request, incident_id, line_id)
    form = LineForm(posted(request), initial={"text": line.text, "at": line.at, "url": line.url})
    form.fields["at"].label = _("When")
    dialog = Dialog(
        heading=_("Change your line"),
        button=_("Save the line"),
        action_url=reverse("incident-line-edit", args=[found.pk, line.pk]),
        back_url=_timeline_url(found.pk),
        crumbs=_way(found),
    )

    def act(given: dict[str, Any]) -> str:
        # A form knows minutes only: the minute it showed means the time it was.
        same = given["at"] in (None, line.at.replace(second=0, microsecond=0))
        given["at"] = line.at if same else given["at"]
        services.edit_line(incident_id=found.pk, line_id=line.pk, actor=actor, **given)
        return _("Your line was changed.")

    return _ask(request, dialog, form, act)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, incident_id: int, line_id: int) -> HttpResponse:
    actor, found, line = _own(request, incident_id, line_id)
    dialog = Dialog(
        heading=_("Delete your line?"),
        button=_("Delete the line"),
        button_class="danger-solid",
        action_url=reverse("incident-line-delete", args=[found.pk, line.pk]),
        back_url=_timeline_url(found.pk),
        lead=line.text,
        consequences=(_("It is gone from the timeline. The audit trail keeps what it said."),),
        crumbs=_way(found),
    )

    def act(given: dict[str, Any]) -> str:
        services.delete_line(incident_id=found.pk, line_id=line.pk, actor=actor)
        return _("Your line was deleted.")

    return _ask(request, dialog, forms.Form(posted(request)), act)


def _own(request: HttpRequest, incident_id: int, line_id: int) -> tuple[Any, Incident, TimelineEntry]:
    actor, found = actor_of(request), get_incident(incident_id)
    require(actor, INCIDENTS_WORK)
    line = services.own_line(found.pk, line_id, actor)
    return actor, found, line


def _ask(request: HttpRequest, dialog: Dialog, form: forms.Form, act: Act) -> HttpResponse:
    """Show the dialog, or do what it asks."""
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            text = act(form.cleaned_data)
        except PortalError as error:
            status = error.status
            add_errors(form, error)
        else:
            return done(request, text, dialog.back_url)
    elif form.errors:
        status = 422
    return show_dialog(request, dialog, form, status=status)


def _timeline_url(incident_id: int) -> str:
    return reverse("incident-timeline", args=[incident_id])


# --- buttons --------------------------------------------------------------------------------------
@page(INCIDENTS_READ)
@require_POST
def pin(request: HttpRequest, incident_id: int, line_id: int) -> HttpResponse:
    return _mark(request, incident_id, line_id, services.pin, on=True)


@page(INCIDENTS_READ)
@require_POST
def unpin(request: HttpRequest, incident_id: int, line_id: int) -> HttpResponse:
    return _mark(request, incident_id, line_id, services.pin, on=False)


@page(INCIDENTS_READ)
@require_POST
def hide(request: HttpRequest, incident_id: int, line_id: int) -> HttpResponse:
    return _mark(request, incident_id, line_id, services.hide, on=True)


@page(INCIDENTS_READ)
@require_POST
def show(request: HttpRequest, incident_id: int, line_id: int) -> HttpResponse:
    return _mark(request, incident_id, line_id, services.hide, on=False)


def _mark(request: HttpRequest, incident_id: int, line_id: int, verb: Any, *, on: bool) -> HttpResponse:
    """Done at once; the words that say so offer to undo it."""
    url = back_url(request).partition("#")[0]
    try:
        verb(incident_id=incident_id, line_id=line_id, actor=actor_of(request), on=on)
    except PortalError as error:
        return refused(request, error, url)
    words, back = _marked(verb is services.pin, on)
    return done(request, words, url, undo=reverse(back, args=[incident_id, line_id]))


def _marked(pinned: bool, on: bool) -> tuple[str, str]:
    """What to say, and the address that takes it back."""
    if pinned:
        return (_("Pinned."), "incident-line-unpin") if on else (_("No longer pinned."), "incident-line-pin")
    if on:
        return _("Hidden, also from the post-mortem."), "incident-line-show"
    return _("Shown again."), "incident-line-hide"


# --- the cause ------------------------------------------------------------------------------------
@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def culprit(request: HttpRequest, incident_id: int) -> HttpResponse:
    """Name a suspect; ``kind`` and ``ref`` in the address say which."""
    actor, found = actor_of(request), get_incident(incident_id)
    require(actor, INCIDENTS_WORK)
    given = request.POST if request.method == "POST" else request.GET
    kind, ref = given.get("kind", ""), given.get("ref", "")
    one = _suspect(found, kind, ref)
    form = NamingForm(posted(request), initial={"kind": kind, "ref": ref})
    before = culprit_of(found)
    replaced = (_("{title} is no longer named.").format(title=before.title),) if before else ()
    dialog = Dialog(
        heading=_("Name the cause of INC-{number}?").format(number=found.pk),
        button=_("Name it as the cause"),
        action_url=reverse("incident-culprit", args=[found.pk]),
        back_url=reverse("incident", args=[found.pk]),
        lead=one.title,
        consequences=(_("It stands on the incident and in the post-mortem. You can take it back."), *replaced),
        crumbs=_way(found),
    )

    def act(cleaned: dict[str, Any]) -> str:
        name_culprit(incident_id=found.pk, actor=actor, **cleaned)
        return _("Named as the cause: {title}").format(title=one.title)

    return _ask(request, dialog, form, act)


def _suspect(incident: Incident, kind: str, ref: str) -> Suspect:
    for one in rank(incident, database_now()):
        if (one.candidate.kind, one.candidate.ref) == (kind, ref):
            return one
    raise NotFound(_("This is not among the suspects of INC-{number} any more.").format(number=incident.pk))


@page(INCIDENTS_READ)
@require_POST
def take_back(request: HttpRequest, incident_id: int) -> HttpResponse:
    url = reverse("incident", args=[incident_id])
    actor, before = actor_of(request), culprit_of(get_incident(incident_id))
    try:
        take_back_culprit(incident_id=incident_id, actor=actor)
    except Conflict as error:
        return refused(request, error, url)
    return done(request, _("No longer named as the cause: {title}").format(title=before.title if before else ""), url)


@page(INCIDENTS_READ)
@require_GET
def suspects(request: HttpRequest, incident_id: int) -> HttpResponse:
    """All of them, with how each score is made."""
    found = get_incident(incident_id)
    context = {
        "incident": found,
        "suspects": suspects_of(found),
        "crumbs": crumbs(*_way(found), _("Suspects")),
    }
    return live_page(request, "console/incident_suspects.html", context)
