"""Incidents: what is run now, what was, and one of them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from apps.console.incident_forms import IncidentFilterForm
from apps.console.selectors.incident_timeline import BESIDE, suspects_of, timeline_of
from apps.console.selectors.incidents import incident_page, incident_rows
from apps.console.shell import portal_of
from apps.console.web import actor_of, crumbs, page
from apps.core.actor import INCIDENTS_READ
from apps.core.live import live_page
from apps.core.pagination import parse_cursor
from apps.incidents.lifecycle import is_open
from apps.incidents.models import State
from apps.incidents.selectors import CLOSED, OPEN, IncidentFilters, get_incident, list_incidents, open_incidents
from apps.incidents.sweeping import ends_at

PER_PAGE = 50


def home() -> tuple[str, str]:
    return (_("Incidents"), reverse("incidents"))


@page(INCIDENTS_READ)
@require_GET
def incidents(request: HttpRequest) -> HttpResponse:
    """Those that are open, then the others; with a filter, whatever it finds."""
    form = IncidentFilterForm(request.GET, services=[service.name for service in portal_of(request).services])
    form.is_valid()
    cursor = parse_cursor(request.GET.get("cursor"))
    filters = form.filters() if form.filtered else IncidentFilters(state=CLOSED)
    found = list_incidents(filters, cursor=cursor, limit=PER_PAGE)
    running = [] if form.filtered or cursor else open_incidents()
    rows = incident_rows([*running, *found.items])
    states = [
        ("", _("All")),
        (OPEN, _("Open")),
        *((state.value, str(state.label)) for state in State),
    ]
    context = {
        "form": form,
        "state": form.state,
        "states": states,
        "running": rows[: len(running)],
        "rows": rows[len(running) :],
        "page": found,
        "filtered": form.filtered,
        "kept": {"state": form.state},
        "crumbs": crumbs(_("Incidents")),
    }
    return live_page(request, "console/incidents.html", context)


@page(INCIDENTS_READ)
@require_GET
def incident(request: HttpRequest, incident_id: int) -> HttpResponse:
    found, portal = get_incident(incident_id), portal_of(request)
    shown = incident_page(found, breakers=portal.breakers, backlog=portal.backlog)
    context = {
        "page": shown,
        "row": shown.row,
        "incident": found,
        "open": is_open(found.state),
        "ends_at": ends_at(found) if shown.over else None,
        "me": actor_of(request).name,
        "timeline": timeline_of(found, request.GET, limit=BESIDE),
        "suspects": suspects_of(found),
        "crumbs": crumbs(home(), f"INC-{found.pk}"),
    }
    return live_page(request, "console/incident.html", context)
