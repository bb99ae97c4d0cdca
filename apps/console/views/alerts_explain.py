"""Explain this page: why somebody was told of an alert at that time in that way, or was not."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from apps.alerts.shown import visible_line
from apps.console.selectors.alerts_explain import explain
from apps.console.selectors.alerts_story import VERDICTS, page_of
from apps.console.views.alerts import home
from apps.console.web import crumbs, page
from apps.core.actor import ALERTS_READ
from apps.core.live import live_page


@page(ALERTS_READ)
@require_GET
def notification(request: HttpRequest, episode_id: int, notification_id: int) -> HttpResponse:
    found = explain(episode_id, notification_id)
    name = visible_line(found.episode.name, 120) or _("(no name)")
    url = reverse("alert", args=[episode_id])
    verdict = VERDICTS.get(found.line.verdict) if found.line is not None else None
    context = {
        "found": found,
        "note": found.note,
        "episode": found.episode,
        "name": name,
        "verdict": verdict[1] if verdict else "",
        "delivery_url": page_of("alert-delivery", found.delivery.pk) if found.delivery else "",
        "routing_url": page_of("routing"),
        "crumbs": crumbs(home(), (visible_line(found.episode.name, 40), url), _("notification")),
    }
    return live_page(request, "console/alert_notification.html", context)
