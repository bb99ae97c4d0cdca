"""Figures and times as a person reads them: pure text work, English, UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Final

UNITS: Final = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def number(value: int) -> str:
    """``1,204``."""
    return f"{value:,}"


def compact(value: int) -> str:
    """``999``, ``1.2k``, ``13k``, ``1.5M``: for where there is no room."""
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if value >= size:
            shown = value / size
            return f"{shown:.0f}{unit}" if shown >= 10 else f"{shown:.1f}{unit}".replace(".0", "")
    return str(value)


def percent(share: float | None) -> str:
    """A share from 0 to 1 as ``12.4 %``; 100 % only when it is all of it, a dash for nothing to go by."""
    if share is None:
        return "–"
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    return f"{min(99.9, max(0.1, share * 100)):.1f} %"


def milliseconds(value: float | None) -> str:
    """``84 ms``, ``2.4 s``, ``1 min 5 s``; a dash for None."""
    if value is None:
        return "–"
    if value < 1000:
        return f"{value:.0f} ms"
    return f"{value / 1000:.1f} s" if value < 60_000 else span(value / 1000)


def span(seconds: float) -> str:
    """Two units at most: ``0.3 s``, ``45 s``, ``6 min 12 s``, ``2 h 10 min``, ``3 d 4 h``."""
    if 0 < seconds < 1:
        return f"{max(0.1, seconds):.1f} s"
    whole = max(0, int(seconds))
    for size, name, smaller, small_name in UNITS:
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{whole} s"


def countdown(seconds: float) -> str:
    """``0:41``, ``12:05``, ``3 h 2 min``; never below zero."""
    whole = max(0, int(seconds))
    return span(whole) if whole >= 3600 else f"{whole // 60}:{whole % 60:02d}"


def ago(at: datetime, moment: datetime) -> str:
    """One unit is enough to look back: ``40 s ago``, ``6 min ago``, ``3 h ago``, ``2 d ago``."""
    seconds = (moment - at).total_seconds()
    if seconds < 0:
        return f"in {_coarse(-seconds)}"
    return f"{_coarse(seconds)} ago"


def _coarse(seconds: float) -> str:
    for size, name, *_ in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {name}"
    return f"{int(seconds)} s"


def clock(at: datetime, moment: datetime) -> str:
    """``10:31:04`` today, ``Nov 18 10:31`` this year, with the year before that."""
    if at.date() == moment.date():
        return f"{at:%H:%M:%S}"
    return f"{at:%b} {at.day} {at:%H:%M}" if at.year == moment.year else f"{at:%Y-%m-%d %H:%M}"


def exact(at: datetime) -> str:
    """The whole of it, with its zone, for a tooltip."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def listed(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def plural(count: int, one: str, many: str = "") -> str:
    """``1 message``, ``1,204 messages``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
