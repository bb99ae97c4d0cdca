"""What HTTP entry points share: errors as JSON, bodies of a bounded size, the address of the caller."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _

from apps.core.errors import PortalError, TooLarge

READ_PIECE: Final = 65_536


def error_response(error: PortalError) -> JsonResponse:
    """The one shape of errors: ``{"error": {"code", "message", "detail"}}``."""
    response = JsonResponse(error.as_dict(), status=error.status, json_dumps_params={"ensure_ascii": False})
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        response["Retry-After"] = str(max(1, math.ceil(retry_after)))
    if error.status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="opsportal"'
    return response


def read_body(request: HttpRequest, limit: int) -> bytes:
    """The body, also one sent in chunks. Raises :class:`TooLarge` before more than ``limit`` bytes are read."""
    announced = _content_length(request)
    if announced > limit:
        raise _too_large(announced, limit)
    if announced or not _is_chunked(request):
        return request.body
    # Django reads nothing without a Content-Length; the server ends the stream where the chunks end.
    request._body = _read_chunks(request, limit)
    return request._body


def _content_length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def _is_chunked(request: HttpRequest) -> bool:
    encoding = request.headers.get("Transfer-Encoding", "")
    return "chunked" in encoding.lower() and bool(request.META.get("wsgi.input_terminated"))


def _read_chunks(request: HttpRequest, limit: int) -> bytes:
    pieces, size = [], 0
    stream = request.META["wsgi.input"]
    while piece := stream.read(READ_PIECE):
        size += len(piece)
        if size > limit:
            raise _too_large(size, limit)
        pieces.append(piece)
    return b"".join(pieces)


def _too_large(size: int, limit: int) -> TooLarge:
    return TooLarge(
        _(
            "The request body has {size} bytes or more; {limit} are allowed here. The payload (or json) of one "
            "message may have {most}."
        ).format(size=size, limit=limit, most=settings.MAX_BODY_BYTES),
        detail=[
            {
                "field": "payload",
                "message": _("a message body may have {most} bytes").format(most=settings.MAX_BODY_BYTES),
            }
        ],
    )


def client_ip(request: HttpRequest) -> str:
    """The address of the caller; X-Forwarded-For is believed as far as TRUSTED_PROXIES reach."""
    address = str(request.META.get("REMOTE_ADDR", ""))
    for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        if not hop.strip() or not _is_trusted(address):
            break
        address = hop.strip()
    return address[:64]


def _is_trusted(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in _trusted(tuple(settings.TRUSTED_PROXIES)))


@lru_cache(maxsize=4)
def _trusted(proxies: tuple[str, ...]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(proxy, strict=False) for proxy in proxies]


def json_text(value: Any) -> str:
    """Compact JSON, as answers are written."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
