"""Probes, scrapes and the webhook of alerts are answered before anything looks at the Host header: they come by an
IP address or by the name of a container, and a refusal would be an alert that is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse

from apps.alerts.receiver import alertmanager
from opsportal import health, telemetry

VIEWS: Final[dict[str, Callable[[HttpRequest], HttpResponse]]] = {
    "/health/live": health.live,
    "/health/ready": health.ready,
    "/health": health.health,
    "/metrics": telemetry.metrics,
    "/webhooks/alertmanager": alertmanager,
    "/webhooks/alertmanager/": alertmanager,
}


class ProbesMiddleware:
    """They need no session, no log-in and no redirect to HTTPS either, so they pass none of that."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        view = VIEWS.get(request.path)
        return view(request) if view is not None else self.get_response(request)
