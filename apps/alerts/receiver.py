"""``POST /webhooks/alertmanager``: store, commit, answer. What was said is found out afterwards.

2xx as soon as the body is durably stored; 5xx only when it could not be; 4xx only for who may not post and for what
is no JSON. Never 3xx (Alertmanager would lose the alert) and never 429 (it would not try again).
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from apps.alerts import tokens
from apps.alerts.models import AlertDelivery, AlertSource, DeliveryState
from apps.alerts.nudge import nudge
from apps.alerts.parsing import Unreadable, document_of, unpacked
from apps.alerts.refusals import count_refusal
from apps.core.errors import PortalError, TooLarge, Unauthorized
from apps.core.http import client_ip, error_response
from apps.core.masking import MASK, is_secret_name

log = structlog.get_logger(__name__)

HEADERS_KEPT: Final = 60
PIECE: Final = 1_048_576


class NotStored(PortalError):
    code = "not_stored"
    status = 503


class NotReadable(PortalError):
    code = "not_readable"
    status = 400


@csrf_exempt
def alertmanager(request: HttpRequest) -> HttpResponse:
    """Take one post."""
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "POST"})
    try:
        delivery = _taken(request)
    except PortalError as error:
        return error_response(error)
    except DatabaseError as error:
        log.error("alerts.not_stored", error=str(error)[:500])
        return error_response(NotStored("The alerts could not be stored: the database is away. Send them again."))
    if delivery.state == DeliveryState.QUARANTINED:
        return error_response(
            NotReadable(
                f"This body cannot be read: {delivery.problem}. It is kept as delivery {delivery.pk}; "
                "Alertmanager itself never sends such a one, so look at what stands between it and the portal."
            )
        )
    return JsonResponse({"delivery": delivery.pk, "source": delivery.source_id, "bytes": delivery.size})


def _taken(request: HttpRequest) -> AlertDelivery:
    source = _source(request)
    body = _body(request)
    problem = _problem(body, request.headers.get("Content-Encoding", ""))
    with transaction.atomic():
        delivery = AlertDelivery(
            source=source,
            body=body,
            size=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            headers=_headers(request),
            address=client_ip(request),
            state=DeliveryState.QUARANTINED if problem else DeliveryState.STORED,
            problem=problem,
        )
        delivery.save(force_insert=True)
        nudge()
    log.info("alerts.received", delivery_id=delivery.pk, source=source.name, bytes=len(body), state=delivery.state)
    return delivery


def _source(request: HttpRequest) -> AlertSource:
    given = request.headers.get("Authorization", "")
    found = tokens.source_of(given)
    if found is None:
        reason = "no_token" if not given else "wrong_token"
        count_refusal(reason, request, "")
        raise Unauthorized(
            "No source of alerts has this token. `manage.py alertsource list` shows the sources, "
            "`manage.py alertsource rotate NAME` makes a new token; put it into http_config.authorization.credentials."
        )
    return found


def _body(request: HttpRequest) -> bytes:
    """All of it, up to ALERT_BODY_BYTES; read from the stream, because Django's own limit is for forms."""
    limit = settings.ALERT_BODY_BYTES
    pieces: list[bytes] = []
    size = 0
    stream = _stream(request)
    while piece := stream.read(PIECE):
        size += len(piece)
        if size > limit:
            count_refusal("too_large", request, f"more than {limit} bytes")
            raise TooLarge(
                f"The body has more than {limit} bytes (ALERT_BODY_BYTES) and was dropped. "
                "Set max_alerts in the webhook_config, or allow more."
            )
        pieces.append(piece)
    return b"".join(pieces)


def _stream(request: HttpRequest) -> Any:
    """Django reads nothing without a Content-Length; a proxy may send in chunks, which the server puts together."""
    chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    return request.META["wsgi.input"] if chunked and request.META.get("wsgi.input_terminated") else request


def _problem(body: bytes, encoding: str) -> str:
    try:
        document_of(unpacked(body, encoding, settings.ALERT_BODY_BYTES))
    except Unreadable as error:
        return str(error)
    return ""


def _headers(request: HttpRequest) -> dict[str, str]:
    """As they came, without the token."""
    kept = list(request.headers.items())[:HEADERS_KEPT]
    return {name: MASK if is_secret_name(name) else value[:2000].replace("\x00", "") for name, value in kept}
