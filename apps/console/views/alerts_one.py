"""One alert: what is going on, who is told next, and its whole story."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from apps.console.marks import breaker_mark
from apps.console.selectors.alerts_page import AlertPage, alert_page
from apps.console.selectors.alerts_reach import shown_gaps
from apps.console.selectors.alerts_story import page_of
from apps.console.shell import portal_of
from apps.console.views.alerts import home
from apps.console.web import actor_of, crumbs, page
from apps.core.actor import ALERTS_READ
from apps.core.clock import now
from apps.core.live import live_page


@page(ALERTS_READ)
@require_GET
def alert(request: HttpRequest, episode_id: int) -> HttpResponse:
    found, moment = alert_page(episode_id), now()
    context = {
        "page": found,
        "row": found.row,
        "episode": found.episode,
        "me": str(actor_of(request)),
        "moment": moment,
        "asleep": found.episode.snoozed_until is not None and found.episode.snoozed_until > moment,
        "gaps": [
            gap
            for gap in shown_gaps(portal_of(request).services)
            if found.running is not None and gap.route == found.running.route
        ],
        "incidents": [(link.incident, page_of("incident", link.incident_id)) for link in found.incidents],
        "overdue": [(each, page_of("post-mortem", each.item.postmortem_id)) for each in found.overdue],
        "service": _service(request, found),
        "source_url": page_of("source", found.episode.source_id),
        "quiet_url": page_of("quiet"),
        "crumbs": crumbs(home(), _("alert {id}").format(id=found.episode.pk)),
    }
    return live_page(request, "console/alert.html", context)


def _service(request: HttpRequest, found: AlertPage) -> dict[str, object] | None:
    """What is known of the service it is about, from what every page knows."""
    name = found.episode.service
    portal = portal_of(request)
    if not name:
        return None
    breaker = portal.breakers.get(name)
    return {
        "name": name,
        "mark": breaker_mark(str(breaker.state)) if breaker is not None else None,
        "letters": portal.letters_by_service.get(name, 0),
    }
