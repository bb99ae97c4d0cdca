"""Answers of the HTTP API that Django makes itself (unknown path, wrong method, a bug) in the API's own shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse

from apps.core import context
from apps.core.errors import PortalError
from apps.core.http import error_response

API_PREFIXES: Final = ("/api/", "/stats/", "/webhooks/")
MESSAGES: Final = {
    400: ("bad_request", "The request cannot be read. Check its host name, path and headers."),
    403: ("forbidden", "This is not allowed."),
    404: ("not_found", "There is nothing at {path}. GET /api/v1/docs lists what there is."),
    405: ("method_not_allowed", "{path} does not take {method}. Allowed: {allow}."),
    413: ("too_large", "The request is too large."),
    500: ("internal", "Something broke in the portal. The log has it under request id {request_id}."),
}


class JsonErrorsMiddleware:
    """Outside of every other middleware that may answer for a program."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code < 400 or not request.path.startswith(API_PREFIXES):
            return response
        if response.get("Content-Type", "").startswith("application/json"):
            return response
        return _as_json(request, response)


def _as_json(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    allow = response.get("Allow", "")
    code, text = MESSAGES.get(response.status_code, ("error", "The request failed."))
    error = PortalError(
        text.format(path=request.path, method=request.method, allow=allow, request_id=context.request_id.get())
    )
    answer = error_response(_named(error, code, response.status_code))
    if allow:
        answer["Allow"] = allow
    return answer


def _named(error: PortalError, code: str, status: int) -> PortalError:
    error.code, error.status = code, status
    return error
