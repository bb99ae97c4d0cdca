"""Retry-After (RFC 9110, 10.2.3): seconds, or an HTTP date."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

CAP_S: Final = 86_400.0
_SECONDS: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?\Z", re.ASCII)


def retry_after(value: str | None, *, now: datetime) -> float | None:
    """Seconds to wait from ``now``, at most a day; 0 for a time that is over; None if it says nothing."""
    text = (value or "").strip()
    if _SECONDS.match(text):
        return _bounded(float(text))
    if not text or len(text) > 64:
        return None
    try:
        when = parsedate_to_datetime(text)
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
        return _bounded((when - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), CAP_S)
