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


# What no page of the portal uses, so that no page can be made to. Passkeys need the two of credentials.
UNUSED_FEATURES = (
    "accelerometer autoplay camera display-capture encrypted-media fullscreen geolocation gyroscope hid "
    "idle-detection magnetometer microphone midi payment screen-wake-lock serial usb xr-spatial-tracking"
)
PERMISSIONS_POLICY = ", ".join(
    [f"{name}=()" for name in UNUSED_FEATURES.split()]
    + ["publickey-credentials-get=(self)", "publickey-credentials-create=(self)"]
)


class BrowserRulesMiddleware:
    """Headers for every answer, also those that are given before Django's own security middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


def new_traceparent() -> str:
    """A new W3C trace context, not sampled."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
