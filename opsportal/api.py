"""The HTTP API: one document, one way to authenticate, one shape of errors. Operations live in apps/*/api."""

from __future__ import annotations

from typing import Any, Final

import structlog
from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.parser import Parser

from apps.accounts.http import not_authenticated
from apps.alerts.api import router as alerts_router
from apps.breakers.api import router as breakers_router
from apps.breakers.api import stats_router
from apps.core import context
from apps.core.errors import Invalid, PortalError, Unavailable
from apps.core.http import error_response, read_body
from apps.core.strict_json import BadJson, parse
from apps.incidents.api import router as incidents_router
from apps.outbox.api.deadletters import letters_router, replays_router
from apps.outbox.api.messages import router as messages_router
from apps.outbox.api.services import router as services_router
from apps.outbox.api.triage import triage_router
from apps.outbox.templating.api import router as templates_router

log = structlog.get_logger(__name__)

SMALL_BODY: Final = 1_048_576
BATCH_BODY: Final = 25 * 1024 * 1024
# JSON may write one byte of a payload as six: \u0001.
MESSAGE_BODY: Final = min(6 * settings.MAX_BODY_BYTES + 65_536, BATCH_BODY)
BODY_LIMITS: Final = {"/api/v1/messages": MESSAGE_BODY, "/api/v1/messages/batch": BATCH_BODY}


class UnsupportedMediaType(PortalError):
    code = "unsupported_media_type"
    status = 415


class InternalError(PortalError):
    code = "internal"
    status = 500


class StrictParser(Parser):
    """Bodies as :mod:`apps.core.strict_json` reads them."""

    def parse_body(self, request: HttpRequest) -> Any:
        kind = request.content_type or ""
        if kind and kind != "application/json" and not kind.endswith("+json"):
            raise UnsupportedMediaType(
                f"The body is sent as {kind[:100]}; this takes JSON: send Content-Type: application/json."
            )
        return parse(request.body)


class PortalAPI(NinjaAPI):
    def create_temporal_response(self, request: HttpRequest) -> HttpResponse:
        """Called when the caller is known and nothing of the body has been read: the place to bound it."""
        read_body(request, BODY_LIMITS.get(request.path, SMALL_BODY))
        return super().create_temporal_response(request)


api = PortalAPI(
    title="opsportal",
    version="1",
    description="Hand over calls that must not be lost, and operate their delivery. "
    "Times are RFC 3339 in UTC. Errors are `{error: {code, message, detail}}`. "
    "`X-Request-ID`, `X-Tenant-ID` and `traceparent` are taken from the caller, or made, and reach logs, rows and the "
    "wire; `X-Request-ID` is in every answer.",
    openapi_url="/api/v1/openapi.json",
    docs_url=None,
    parser=StrictParser(),
    urls_namespace="api",
)
api.add_router("/api/v1/messages", messages_router)
api.add_router("/api/v1/dead-letters", letters_router)
api.add_router("/api/v1/dead-letters", triage_router)
api.add_router("/api/v1/replays", replays_router)
api.add_router("/api/v1/services", services_router)
api.add_router("/api/v1/services", breakers_router)
api.add_router("/api/v1/templates", templates_router)
api.add_router("/api/v1/incidents", incidents_router)
api.add_router("/api/v1/alerts", alerts_router)
api.add_router("/stats", stats_router)


@api.exception_handler(PortalError)
def on_portal_error(request: HttpRequest, error: PortalError) -> HttpResponse:
    return error_response(error)


@api.exception_handler(AuthenticationError)
def on_missing_key(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return error_response(not_authenticated())


@api.exception_handler(HttpError)
def on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """The framework wraps what goes wrong while it reads a body."""
    cause = error.__cause__
    return error_response(cause if isinstance(cause, PortalError) else BadJson(f"The request cannot be read: {error}."))


@api.exception_handler(ValidationError)
def on_validation_error(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return error_response(Invalid.fields([_problem(found) for found in error.errors[:50]]))


def _problem(found: dict[str, Any]) -> dict[str, str]:
    """Where and what, as the caller wrote it: the place begins with "body" or "query" and our parameter's name."""
    place = [str(part) for part in found["loc"]]
    if place[0] == "body":
        place = [part for part in place[2:] if part not in UNION_PARTS] or ["body"]
    else:
        place = place[1:] or place
    words = {"extra_forbidden": "is not a known field", "missing": "is required"}
    message = words.get(found["type"]) or found["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return {"field": _encodable(".".join(place)), "message": _encodable(message)}


UNION_PARTS: Final = ("BatchIn", "list[dict[str,any]]")


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:500]


@api.exception_handler(OperationalError)
def on_database_away(request: HttpRequest, error: OperationalError) -> HttpResponse:
    log.warning("api.database_away", path=request.path, error=str(error))
    return error_response(Unavailable("The database cannot be reached; nothing was stored. Try again.", retry_after=2))


@api.exception_handler(Exception)
def on_bug(request: HttpRequest, error: Exception) -> HttpResponse:
    log.exception("api.failed", path=request.path, method=request.method)
    return error_response(
        InternalError(
            f"Something broke in the portal; nothing was stored. The log has it under request id "
            f"{context.request_id.get()}.",
            detail={"request_id": context.request_id.get()},
        )
    )
