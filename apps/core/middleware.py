"""Takes request id, tenant and trace from the caller, or makes them, and puts them into the context."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.core import context

SAFE_ID = re.compile(r"[A-Za-z0-9_.:/+=-]{1,128}")
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class RequestContextMiddleware:
    """Outermost, so that even a refused request has an id in its log lines and its answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if SAFE_ID.fullmatch(given) else secrets.token_hex(16)
        tenant = request.headers.get("X-Tenant-ID", "")
        trace = request.headers.get("traceparent", "")
        context.request_id.set(request_id)
        context.tenant_id.set(tenant if SAFE_ID.fullmatch(tenant) else "")
        context.traceparent.set(trace if TRACEPARENT.fullmatch(trace) else new_traceparent())
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


def new_traceparent() -> str:
    """A new W3C trace context, not sampled."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
