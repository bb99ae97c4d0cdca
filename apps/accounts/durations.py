"""Durations as people type them: 90d, 12h."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from apps.core.errors import Invalid

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str, *, field: str) -> timedelta:
    """``45s``, ``30m``, ``12h``, ``90d`` or ``4w``; raises :class:`Invalid` naming ``field``."""
    match = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip())
    if match is None:
        raise Invalid.field(field, f"{text!r} is not a duration; write 30m, 12h, 90d or 4w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
