"""What an HTTP status means for the message, the service and its breaker (product.md, Classifying)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Final

from apps.channels.base import DeliveryError
from apps.channels.retry_after import retry_after
from apps.channels.text import snippet

RETRYABLE: Final = {408: "request_timeout", 425: "too_early", 429: "rate_limited"}
SLOWING: Final = frozenset({429, 503})


def failure(status: int, headers: Mapping[str, str], excerpt: str, *, now: datetime) -> DeliveryError:
    """The error of an answer that is not 2xx. ``excerpt`` is already free of secrets."""
    if 300 <= status < 400:
        return _redirect(status, headers, excerpt)
    return DeliveryError(
        _message(status, excerpt),
        error_class=_error_class(status),
        permanent=is_permanent(status),
        retry_after=retry_after(headers.get("Retry-After"), now=now) if status in SLOWING else None,
        counts_as_failure=status in (408, 425) or status >= 500,
        status_code=status,
        response_excerpt=excerpt,
        pauses_service=status == HTTPStatus.GONE,
    )


def is_permanent(status: int) -> bool:
    """Below 500 only what RETRYABLE lists is worth another try."""
    return status < 500 and status not in RETRYABLE


def _error_class(status: int) -> str:
    if status == HTTPStatus.GONE:
        return "gone"
    return RETRYABLE.get(status) or ("server_error" if status >= 500 else "rejected")


def _message(status: int, excerpt: str) -> str:
    text = f"Answered {status} {phrase(status)}".rstrip()
    if status == HTTPStatus.GONE:
        text += ", which means the address is gone for good; the service is paused until its address is corrected"
    said = snippet(excerpt)
    return f"{text}: {said}" if said else text


def _redirect(status: int, headers: Mapping[str, str], excerpt: str) -> DeliveryError:
    """Never followed: a redirected POST may become a GET, and it could lead into the private network."""
    target = snippet(headers.get("Location", "").replace("\x00", "")) or "nowhere"
    return DeliveryError(
        f"Answered {status} {phrase(status)} and pointed to {target}. "
        "Redirects are not followed: put the final address into the service's settings",
        error_class="redirect",
        permanent=True,
        counts_as_failure=False,
        status_code=status,
        response_excerpt=excerpt,
    )


def phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
