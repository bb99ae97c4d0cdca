"""Which alerts, services and deployments an incident is about."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from apps.alerts.episodes import OPEN_STATES as OPEN_ALERTS
from apps.alerts.models import Episode
from apps.alerts.notices import one_line
from apps.console.incident_forms import AlertsForm, DeploymentThingForm, ServiceThingForm
from apps.console.shell import portal_of
from apps.console.views.incident_changes import ask, dialog_of, url_of, working
from apps.console.web import actor_of, done, page, posted, refused
from apps.core.actor import INCIDENTS_READ
from apps.core.errors import NotFound, PortalError
from apps.incidents import linking
from apps.incidents.models import Incident

MOST_OFFERED: Final = 50


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def link_alerts(request: HttpRequest, incident_id: int) -> HttpResponse:
    """Alerts that are open and of no incident yet, the newest first."""
    incident = working(request, incident_id)
    rows = Episode.objects.filter(state__in=OPEN_ALERTS, incident_links__isnull=True).order_by("-pk")
    offered = [(row.pk, _offered(row)) for row in rows.only("pk", "name", "service", "annotations")[:MOST_OFFERED]]
    form = AlertsForm(posted(request), alerts=offered)

    def act(data: dict[str, Any]) -> str:
        count = linking.link_alerts(incident_id=incident_id, episode_ids=data["alerts"], actor=actor_of(request))
        return ngettext("{n} alert is linked.", "{n} alerts are linked.", count).format(n=count)

    lines = () if offered else (_("Every open alert belongs to an incident already."),)
    dialog = dialog_of(
        incident, "incident-alerts", _("Link alerts"), _("Link them"), consequences=lines, blocked=not offered
    )
    return ask(request, dialog, form, act)


def _offered(row: Episode) -> str:
    words = (one_line(row.name, 80), row.service, one_line(row.annotations.get("summary", ""), 100))
    return " · ".join(filter(None, words))


@page(INCIDENTS_READ)
@require_POST
def unlink(request: HttpRequest, incident_id: int, episode_id: int) -> HttpResponse:
    url = url_of(incident_id)
    try:
        linking.unlink_alert(incident_id=incident_id, episode_id=episode_id, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    return done(request, _("The alert is not of INC-{number} any more.").format(number=incident_id), url)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def add_thing(request: HttpRequest, incident_id: int, kind: str) -> HttpResponse:
    incident = working(request, incident_id)
    if kind not in linking.KINDS:
        raise NotFound(_("An incident is about alerts, services and deployments."))
    form = _thing_form(request, incident, kind)

    def act(data: dict[str, Any]) -> str:
        linking.add_thing(incident_id=incident_id, kind=kind, ref=data["ref"], actor=actor_of(request))
        return _("{name} is linked.").format(name=data["ref"])

    heading = _("Link a service") if kind == linking.SERVICE else _("Link a deployment")
    action = reverse("incident-thing", args=[incident_id, kind])
    return ask(request, dialog_of(incident, "incident-update", heading, _("Link it"), action_url=action), form, act)


def _thing_form(request: HttpRequest, incident: Incident, kind: str) -> forms.Form:
    if kind == linking.DEPLOYMENT:
        return DeploymentThingForm(posted(request))
    known = set(incident.things.filter(kind=kind).values_list("ref", flat=True))
    names = [service.name for service in portal_of(request).services if service.name not in known]
    return ServiceThingForm(posted(request), services=names)


@page(INCIDENTS_READ)
@require_POST
def remove_thing(request: HttpRequest, incident_id: int, thing_id: int) -> HttpResponse:
    url = url_of(incident_id)
    try:
        linking.remove_thing(incident_id=incident_id, thing_id=thing_id, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    return done(request, _("It is not of INC-{number} any more.").format(number=incident_id), url)
