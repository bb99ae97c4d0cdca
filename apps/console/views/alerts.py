"""Alerts: what fires now and what has, as a list or in groups."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from apps.alerts.selectors import (
    EpisodeFilters,
    Group,
    OpenCounts,
    count_chosen,
    episode_groups,
    episode_page,
    open_counts,
)
from apps.console.alert_forms import FILTERS, GROUP_LABELS, STATE_LABELS, AlertFilterForm
from apps.console.marks import Mark
from apps.console.selectors.alerts import FIRING_TONE, Lives, alert_rows, severity_label
from apps.console.selectors.alerts_reach import shown_gaps
from apps.console.selectors.letters import people
from apps.console.shell import portal_of
from apps.console.web import actor_of, crumbs, page
from apps.core.actor import ALERTS_READ
from apps.core.clock import now
from apps.core.live import anchor, live_page

ROWS: Final = 50
WHOLE_PREFIX: Final = "f_"


def home() -> tuple[str, str]:
    return _("Alerts"), reverse("alerts")


@page(ALERTS_READ)
@require_GET
def alerts(request: HttpRequest) -> HttpResponse:
    moment = now()
    lives = Lives.look(moment)
    form = filter_form(request, request.GET, list(lives.sources))
    filters, counts = form.filters(), open_counts(moment)
    context: dict[str, Any] = {
        "form": form,
        "state": form.state,
        "group": form.group,
        "states": [(key, label, _counted(key, counts)) for key, label in STATE_LABELS.items()],
        "groups_by": GROUP_LABELS.items(),
        "grouped": filters.is_open,
        "counts": counts,
        "chips": form.chips(),
        "filtered": bool(form.chips()),
        "sources": lives.sources,
        "moment": moment,
        "gaps": shown_gaps(portal_of(request).services),
        "section": "alerts",
        "crumbs": crumbs(home()[0]),
    }
    if form.group:
        context |= {"groups": [_group(group, form) for group in episode_groups(filters, form.group, now=moment)]}
    else:
        context |= _list(request, form, filters, lives)
    return live_page(request, "console/alerts.html", context)


def filter_form(request: HttpRequest, given: QueryDict, sources: list[str]) -> AlertFilterForm:
    services = portal_of(request).services
    return AlertFilterForm(given, services=services, sources=sources, people=people(), me=str(actor_of(request)))


def _counted(state: str, counts: OpenCounts) -> int | None:
    known = {"": counts.firing + counts.recovering, "firing": counts.firing, "recovering": counts.recovering}
    return known.get(state)


def _list(request: HttpRequest, form: AlertFilterForm, filters: EpisodeFilters, lives: Lives) -> dict[str, Any]:
    cursor = request.GET.get("cursor", "")
    found = episode_page(filters, now=lives.now, cursor=cursor, limit=ROWS, anchor=anchor(request))
    whole = bool(cursor or found.next_cursor) and filters.is_open
    return {
        "page": found,
        "rows": alert_rows(found.items, lives),
        "selectable": filters.is_open,
        "total": count_chosen(filters, now=lives.now) if whole else len(found.items),
        "whole_fields": [(WHOLE_PREFIX + name, value) for name, value in form.kept()],
    }


def _group(group: Group, form: AlertFilterForm) -> dict[str, Any]:
    """``query`` shows its alerts, ``whole`` means all of them to a form that acts."""
    by, value = form.group, group.value
    fields = dict(form.kept()) | ({by: value} if value else {})
    shown = severity_label(value) if by == "severity" else value
    return {
        "group": group,
        "label": shown[:200],
        "mark": Mark(FIRING_TONE.get(group.worst, "warning"), severity_label(group.worst)),
        "query": urlencode(fields) if value else "",
        "whole": urlencode([("every_page", "1"), *((WHOLE_PREFIX + name, given) for name, given in fields.items())]),
        "acknowledged": group.firing - group.unacknowledged,
    }


def whole_filters(request: HttpRequest, given: QueryDict, sources: list[str]) -> EpisodeFilters:
    """What ``every_page`` means: the filters that the page carried along."""
    fields = QueryDict(mutable=True)
    for name in ("state", *FILTERS):
        if WHOLE_PREFIX + name in given:
            fields[name] = given.get(WHOLE_PREFIX + name, "")
    return filter_form(request, fields, sources).filters()
