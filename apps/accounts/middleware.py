"""Pages need a log-in; the API and the probes decide for themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponseBase

OPEN_PREFIXES = ("/api/", "/health", "/metrics", "/stats/", "/webhooks/")


class PortalLoginRequiredMiddleware(LoginRequiredMiddleware):
    """A program that calls the API is answered 401 there, never a redirect to the log-in page."""

    def process_view(
        self, request: HttpRequest, view_func: Callable[..., Any], view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        if request.path.startswith(OPEN_PREFIXES):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)
