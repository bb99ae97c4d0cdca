"""What people do with an incident: each a dialog that says what it will do, or a button that can be undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from apps.alerts.models import Episode
from apps.alerts.notices import one_line
from apps.console.incident_forms import (
    NOBODY,
    CorrectForm,
    MergeForm,
    NewIncidentForm,
    ReopenForm,
    ResolveForm,
    RoleForm,
    SeverityForm,
    UpdateForm,
)
from apps.console.selectors.letters import people
from apps.console.shell import portal_of
from apps.console.views.incidents import home
from apps.console.views.triage import linked
from apps.console.web import Dialog, actor_of, add_errors, done, page, posted, refused, show_dialog
from apps.core.actor import INCIDENTS_READ, INCIDENTS_WORK, require
from apps.core.errors import Conflict, Invalid, NotFound, PortalError
from apps.incidents import linking, merging, services
from apps.incidents.holding import alerts_of, elsewhere, over_words
from apps.incidents.lifecycle import is_open
from apps.incidents.models import Incident, RoleName
from apps.incidents.selectors import get_incident, open_incidents
from apps.incidents.sweeping import title_of

Act = Callable[[dict[str, Any]], str]


def working(request: HttpRequest, incident_id: int, *, also_over: bool = False) -> Incident:
    """The incident for somebody who may work on it; what is over says so instead of showing a form."""
    require(actor_of(request), INCIDENTS_WORK)
    found = get_incident(incident_id)
    if not also_over and not is_open(found.state):
        raise Conflict(over_words(found))
    return found


def url_of(incident_id: int) -> str:
    return reverse("incident", args=[incident_id])


def ask(request: HttpRequest, dialog: Dialog, form: forms.Form, act: Act) -> HttpResponse:
    """Show the dialog, or do what it asks. Refused because of somebody else, it shows what holds now; pressing again
    is then a decision made with open eyes.
    """
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            text = act(form.cleaned_data)
        except PortalError as error:
            status = 409 if isinstance(error, Conflict) else 422
            _refuse(form, error)
        else:
            return done(request, text, dialog.back_url)
    elif form.errors:
        status = 422
    return show_dialog(request, dialog, form, status=status)


def _refuse(form: forms.Form, error: PortalError) -> None:
    other = error.detail.get("incident") if isinstance(error.detail, dict) else None
    if other:
        label = _("Open INC-{number}").format(number=other)
        form.add_error(None, linked(error.message, url_of(other), label))
    else:
        add_errors(form, error)


def dialog_of(incident: Incident, name: str, heading: str, button: str, **more: Any) -> Dialog:
    given = {"action_url": reverse(name, args=[incident.pk]), "back_url": url_of(incident.pk), **more}
    words = one_line(incident.title, 200)
    lead = given.pop("lead", f"INC-{incident.pk} · {words}")
    return Dialog(
        heading=heading,
        button=button,
        lead=lead,
        template="console/incident_dialog.html",
        crumbs=(home(), (f"INC-{incident.pk}", url_of(incident.pk))),
        **given,
    )


# --- opening ------------------------------------------------------------------------------------------


def _alerts_of(request: HttpRequest) -> list[int]:
    """``alerts=1,2`` or ``alerts=1&alerts=2``."""
    given = request.POST if request.method == "POST" else request.GET
    texts = [part.strip() for text in given.getlist("alerts") for part in text.split(",") if part.strip()]
    if not all(text.isascii() and text.isdigit() and len(text) < 19 for text in texts):
        raise Invalid.field("alerts", _("must be numbers of alerts"))
    return list(dict.fromkeys(int(text) for text in texts))


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """By hand, or from the alerts in the address."""
    actor = actor_of(request)
    require(actor, INCIDENTS_WORK)
    ids = _alerts_of(request)
    episodes = linking.episodes_of(ids) if ids else []
    names = [] if episodes else [service.name for service in portal_of(request).services]
    asked = request.GET.get("service", "")
    given = {"title": title_of(episodes)} if episodes else {"services": [asked] if asked in names else []}
    form = NewIncidentForm(posted(request), services=names, initial=given)

    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made = services.open_incident(
                actor=actor,
                title=data["title"],
                severity=data["severity"],
                summary=data["summary"],
                started_at=data["started_at"],
                episode_ids=ids,
                services=data.get("services", []),
                tell_people=data["tell"],
            )
        except PortalError as error:
            _refuse(form, error)
            return show_dialog(request, _new_dialog(ids, episodes), form, status=error.status)
        return done(request, _("INC-{number} is open.").format(number=made.pk), url_of(made.pk))
    return show_dialog(request, _new_dialog(ids, episodes), form, status=422 if form.errors else 200)


def _new_dialog(ids: list[int], episodes: list[Episode]) -> Dialog:
    lines: list[Any] = []
    taken = elsewhere(ids, None) if ids else None
    if taken is not None:
        text = _("{name} belongs to INC-{number} already.").format(
            name=one_line(taken.episode.name, 100), number=taken.incident_id
        )
        lines.append(linked(text, url_of(taken.incident_id), _("Work there")))
    elif episodes:
        text = ngettext("It begins with {n} alert: {names}.", "It begins with {n} alerts: {names}.", len(episodes))
        names = list(dict.fromkeys(one_line(row.name, 60) for row in episodes))
        shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
        lines.append(text.format(n=len(episodes), names=shown))
    lines.append(_("You are noted as the first person at it. Everybody who may see incidents sees it at once."))
    return Dialog(
        heading=_("Open an incident"),
        button=_("Open the incident"),
        action_url=reverse("incident-new"),
        back_url=reverse("incidents"),
        crumbs=(home(),),
        consequences=tuple(lines),
        blocked=taken is not None,
        template="console/incident_dialog.html",
        wide=True,
        extra={"hidden": [("alerts", str(number)) for number in ids]},
    )


# --- bringing it on -------------------------------------------------------------------------------------


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def update(request: HttpRequest, incident_id: int) -> HttpResponse:
    incident = working(request, incident_id)
    asked = request.GET.get("state", "")
    state = asked if is_open(asked) else incident.state
    form = UpdateForm(posted(request), initial={"state": state, "seen": incident.state, "tell": False})

    def act(data: dict[str, Any]) -> str:
        services.say(
            incident_id=incident_id,
            actor=actor_of(request),
            text=data["text"],
            state=data["state"],
            seen=data["seen"] or None,
            tell_people=data["tell"],
        )
        return _("The update is on INC-{number}.").format(number=incident_id)

    dialog = dialog_of(incident, "incident-update", _("Update"), _("Post the update"))
    return ask(request, dialog, form, act)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def resolve(request: HttpRequest, incident_id: int) -> HttpResponse:
    incident = working(request, incident_id)
    form = ResolveForm(posted(request), initial={"seen": incident.state})

    def act(data: dict[str, Any]) -> str:
        services.resolve(
            incident_id=incident_id,
            actor=actor_of(request),
            text=data["text"],
            seen=data["seen"] or None,
            tell_people=data["tell"],
        )
        return _("INC-{number} is resolved. Its post-mortem is being drafted.").format(number=incident_id)

    firing = sum(alert.firing for alert in alerts_of(incident).values())
    lines = [_("It leaves the list of what is run now, and its post-mortem is drafted. You can open it again.")]
    if firing:
        text = ngettext(
            "{n} of its alerts still fires. It opens the incident again only if it falls silent and fires anew.",
            "{n} of its alerts still fire. They open the incident again only if they fall silent and fire anew.",
            firing,
        )
        lines.insert(0, text.format(n=firing))
    dialog = dialog_of(incident, "incident-resolve", _("Resolve"), _("Resolve it"), consequences=tuple(lines))
    return ask(request, dialog, form, act)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def reopen(request: HttpRequest, incident_id: int) -> HttpResponse:
    incident = working(request, incident_id, also_over=True)
    if is_open(incident.state):
        raise Conflict(_("INC-{number} is open.").format(number=incident.pk))
    if incident.merged_into_id:
        raise Conflict(over_words(incident))
    form = ReopenForm(posted(request))

    def act(data: dict[str, Any]) -> str:
        services.reopen(
            incident_id=incident_id, actor=actor_of(request), reason=data["reason"], tell_people=data["tell"]
        )
        return _("INC-{number} is open again.").format(number=incident_id)

    lines = (_("It is investigated again, and from now on only a person resolves it."),)
    dialog = dialog_of(incident, "incident-reopen", _("Open again"), _("Open it again"), consequences=lines)
    return ask(request, dialog, form, act)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def severity(request: HttpRequest, incident_id: int) -> HttpResponse:
    incident = working(request, incident_id)
    form = SeverityForm(posted(request), initial={"severity": incident.severity, "seen": incident.severity})

    def act(data: dict[str, Any]) -> str:
        made = services.change_severity(
            incident_id=incident_id,
            actor=actor_of(request),
            severity=data["severity"],
            reason=data["reason"],
            seen=data["seen"] or None,
        )
        return _("INC-{number} is {severity} now.").format(number=incident_id, severity=made.severity.upper())

    dialog = dialog_of(incident, "incident-severity", _("Change the severity"), _("Change it"))
    return ask(request, dialog, form, act)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def correct(request: HttpRequest, incident_id: int) -> HttpResponse:
    """Also when it is over: the post-mortem stands on it."""
    incident = working(request, incident_id, also_over=True)
    if incident.merged_into_id:
        raise Conflict(over_words(incident))
    given = {"title": incident.title, "summary": incident.summary, "started_at": incident.started_at}
    form = CorrectForm(posted(request), initial=given)

    def act(data: dict[str, Any]) -> str:
        # A field of minutes that was not touched must not cut the seconds of what is known.
        shown = incident.started_at.replace(second=0, microsecond=0)
        began = data["started_at"] if data["started_at"] != shown else None
        services.change(
            incident_id=incident_id,
            actor=actor_of(request),
            title=data["title"],
            summary=data["summary"],
            started_at=began,
        )
        return _("INC-{number} is corrected.").format(number=incident_id)

    dialog = dialog_of(incident, "incident-correct", _("Correct the incident"), _("Save"))
    return ask(request, dialog, form, act)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def merge(request: HttpRequest, incident_id: int) -> HttpResponse:
    incident = working(request, incident_id)
    others = [
        (row.pk, f"INC-{row.pk} · {one_line(row.title, 120)}") for row in open_incidents() if row.pk != incident_id
    ]
    form = MergeForm(posted(request), others=others)

    def act(data: dict[str, Any]) -> str:
        into = merging.merge(
            incident_id=incident_id, into_id=data["into"], actor=actor_of(request), reason=data["reason"]
        )
        return _("INC-{number} lives on in INC-{other}.").format(number=incident_id, other=into.pk)

    lines = (
        _("Its alerts, services and timeline move there, and this one ends. This cannot be undone.")
        if others
        else _("There is no other open incident to merge it into."),
    )
    dialog = dialog_of(
        incident,
        "incident-merge",
        _("Merge into another incident"),
        _("Merge INC-{number}").format(number=incident.pk),
        consequences=lines,
        button_class="danger-solid",
        blocked=not others,
    )
    return ask(request, dialog, form, act)


# --- roles ----------------------------------------------------------------------------------------------


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def role(request: HttpRequest, incident_id: int, role: str) -> HttpResponse:
    incident = working(request, incident_id)
    if role not in RoleName.values:
        raise NotFound(_("There is no such role."))
    name = RoleName(role).label
    held = incident.roles.filter(role=role).values_list("person", flat=True).first() or ""
    me = actor_of(request).name
    form = RoleForm(posted(request), me=me, people=people(), initial={"person": held or me, "seen": held})

    def act(data: dict[str, Any]) -> str:
        person = "" if data["person"] == NOBODY else data["person"]
        services.assign_role(
            incident_id=incident_id, role=role, person=person, actor=actor_of(request), seen=data["seen"]
        )
        text = _("{role}: {person}.") if person else _("{role}: nobody.")
        return text.format(role=name, person=person)

    dialog = dialog_of(
        incident,
        "incident-update",
        str(name),
        _("Save"),
        lead=_("Held by {person}.").format(person=held) if held else _("Nobody holds this role."),
        action_url=reverse("incident-role", args=[incident_id, role]),
    )
    return ask(request, dialog, form, act)


@page(INCIDENTS_READ)
@require_POST
def take_role(request: HttpRequest, incident_id: int, role: str) -> HttpResponse:
    """One press; only what nobody holds is taken so."""
    actor, url = actor_of(request), url_of(incident_id)
    try:
        services.assign_role(incident_id=incident_id, role=role, person=actor.name, actor=actor, seen="")
    except PortalError as error:
        return refused(request, error, url)
    return done(request, _("{role}: you.").format(role=RoleName(role).label), url)
