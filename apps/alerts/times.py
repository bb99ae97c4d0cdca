"""Times as senders write them: any offset, up to nine digits of a second, and nonsense. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?\s*([Zz]|[+-]\d\d:?\d\d)?", re.ASCII
)
# Go's zero time means "no time"; nothing that fires began before alerting did.
_EARLIEST: Final = datetime(1970, 1, 2, tzinfo=UTC)
# Later than this is nonsense, and near the end of the calendar neither a zone nor a few seconds can be added.
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)


def parse_time(given: object) -> datetime | None:
    """The UTC time a sender wrote, to the microsecond; None for none, for Go's zero time and for what is no time.

    Second 60 is the beginning of the next minute; without an offset it is UTC.
    """
    if not isinstance(given, str):
        return None
    found = _RFC3339.fullmatch(given.strip())
    if found is None:
        return None
    try:
        at = _assembled(*found.groups()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if _EARLIEST <= at <= _LATEST else None


def _assembled(
    year: str, month: str, day: str, hour: str, minute: str, second: str, fraction: str | None, offset: str | None
) -> datetime:
    leap = second == "60"
    at = datetime(
        int(year),
        int(month),
        int(day),
        int(hour),
        int(minute),
        59 if leap else int(second),
        int((fraction or "0")[:6].ljust(6, "0")),
        tzinfo=_zone(offset),
    )
    return at.replace(microsecond=0) + timedelta(seconds=1) if leap else at


def _zone(offset: str | None) -> timezone:
    if offset is None or offset in "Zz":
        return UTC
    sign = -1 if offset[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:])))
