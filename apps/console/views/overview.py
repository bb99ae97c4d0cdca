"""The first page: is something wrong, what, since when, what does it do to people, what can I press."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from apps.console.selectors.alerts_needs import alert_needs
from apps.console.selectors.alerts_reach import overview_gaps
from apps.console.selectors.board import tiles
from apps.console.selectors.flow import flow
from apps.console.selectors.incident_needs import incident_needs
from apps.console.selectors.letters import cause_label
from apps.console.selectors.people import needs, worker_rows
from apps.console.shell import portal_of
from apps.console.web import crumbs, page
from apps.core.actor import ALERTS_WORK, REPLAYS_RUN, SERVICES_READ
from apps.core.live import live_page
from apps.outbox.selectors import causes, list_replays


@page(SERVICES_READ)
@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    portal = portal_of(request)
    board = tiles(portal)
    found = causes(snoozed=False, limit=8)
    unfinished = list_replays(state="unfinished", limit=20).items
    rows = worker_rows(portal.vitals)
    context = {
        "tiles": board,
        "not_normal": sum(tile.tone != "good" for tile in board),
        "needs": needs(
            board,
            found,
            unfinished,
            portal.vitals,
            may_replay=REPLAYS_RUN in portal.permissions,
            alerts=[*incident_needs(), *alert_needs(portal.vitals, may_work=ALERTS_WORK in portal.permissions)],
        ),
        "gaps": overview_gaps(portal.services),
        "causes": [(cause, cause_label(cause.service, cause.error_class, cause.status_code)) for cause in found],
        "workers": rows,
        "up_to_date": sum(row.up_to_date for row in rows),
        "running": [replay for replay in unfinished if replay.state != "stopped"],
        "flow": flow(board),
        "oldest_open": min(
            (
                tile.snapshot.opened_at
                for tile in board
                if tile.snapshot and tile.snapshot.opened_at and tile.state in ("OPEN", "HALF_OPEN")
            ),
            default=None,
        ),
        "crumbs": crumbs(_("Overview")),
    }
    return live_page(request, "console/overview.html", context)
