"""Figures and times as a person reads them: in the language and the time zone that are active."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.utils import dateformat, formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from apps.core.language import offset, zone_name
from apps.core.nouns import counted

SIZES: Final = ((86_400, 3600), (3600, 60), (60, 1))


def number(value: float, decimals: int = 0) -> str:
    """``1,204``; ``1.204`` in Indonesian. ``decimals`` places after the point."""
    rounded = Decimal(f"{value:.{decimals}f}")  # number_format only cuts off
    return str(formats.number_format(rounded, decimal_pos=decimals, use_l10n=True, force_grouping=True))


def compact(value: int) -> str:
    """``999``, ``1.2k``, ``13k``, ``1.5M``: for where there is no room."""
    if value >= 1_000_000:
        return pgettext("millions", "{number}M").format(number=_shortest(value / 1_000_000))
    if value >= 1000:
        return pgettext("thousands", "{number}k").format(number=_shortest(value / 1000))
    return str(value)


def _shortest(value: float) -> str:
    return number(value, 0 if value >= 10 or round(value, 1) == int(value) else 1)


def percent(share: float | None) -> str:
    """A share from 0 to 1 as ``12.4 %``; 100 % only when it is all of it, a dash for nothing to go by."""
    if share is None:
        return "–"
    if share in (0, 1):
        return _("{number} %").format(number=number(share * 100))
    return _("{number} %").format(number=number(min(99.9, max(0.1, share * 100)), 1))


def milliseconds(value: float | None) -> str:
    """``84 ms``, ``2.4 s``, ``1 min 5 s``; a dash for None."""
    if value is None:
        return "–"
    if value < 1000:
        return _("{number} ms").format(number=number(value))
    return _seconds(value / 1000, 1) if value < 60_000 else span(value / 1000)


def _unit(size: int, count: int) -> str:
    words = {
        86_400: pgettext("days", "{number} d"),
        3600: pgettext("hours", "{number} h"),
        60: pgettext("minutes", "{number} min"),
    }
    return words[size].format(number=number(count)) if size in words else _seconds(count)


def _seconds(value: float, decimals: int = 0) -> str:
    return pgettext("seconds", "{number} s").format(number=number(value, decimals))


def span(seconds: float) -> str:
    """Two units at most: ``0.3 s``, ``45 s``, ``6 min 12 s``, ``2 h 10 min``, ``3 d 4 h``."""
    if 0 < seconds < 1:
        return _seconds(max(0.1, seconds), 1)
    whole = max(0, int(seconds))
    for size, smaller in SIZES:
        if whole >= size:
            rest = whole % size // smaller
            return _unit(size, whole // size) + (f" {_unit(smaller, rest)}" if rest else "")
    return _seconds(whole)


def countdown(seconds: float) -> str:
    """``0:41``, ``12:05``, ``3 h 2 min``; never below zero."""
    whole = max(0, int(seconds))
    return span(whole) if whole >= 3600 else f"{whole // 60}:{whole % 60:02d}"


def ago(at: datetime, moment: datetime) -> str:
    """One unit is enough to look back: ``40 s ago``, ``6 min ago``, ``3 h ago``, ``2 d ago``."""
    seconds = (moment - at).total_seconds()
    if seconds < 0:
        return _("in {time}").format(time=_coarse(-seconds))
    return _("{time} ago").format(time=_coarse(seconds))


def _coarse(seconds: float) -> str:
    size = next((size for size, _smaller in SIZES if seconds >= size), 1)
    return _unit(size, int(seconds // size))


def clock(at: datetime, moment: datetime) -> str:
    """``10:31:04`` on the person's today, ``Nov 18 10:31`` this year, with the year before that."""
    local, here = timezone.localtime(at), timezone.localtime(moment)
    if local.date() == here.date():
        return f"{local:%H:%M:%S}"
    if local.year == here.year:
        return str(dateformat.format(local, pgettext("a day of this year and a time", "M j H:i")))
    return f"{local:%Y-%m-%d %H:%M}"


def clock_in_zone(at: datetime, moment: datetime) -> str:
    """The same with its zone, for a sentence: ``10:31:04 WIB``."""
    return f"{clock(at, moment)} {zone(at)}"


def zone(at: datetime) -> str:
    """The name of the person's zone at that time: ``WIB``."""
    return zone_name(timezone.localtime(at))


def exact(at: datetime) -> str:
    """The whole of it, with its zone, for a tooltip: ``2026-11-21 17:31:04 WIB (UTC+07:00)``."""
    local = timezone.localtime(at)
    name, shift = zone_name(local), offset(local)
    return f"{local:%Y-%m-%d %H:%M:%S} {name}" + (f" ({shift})" if shift != name else "")


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(words) < 2:
        return str(words[0]) if words else ""
    return _("{first} and {last}").format(first=", ".join(map(str, words[:-1])), last=words[-1])


def plural(count: int, one: str) -> str:
    """``1 message``, ``1,204 messages``. ``one`` is a noun of apps/core/nouns.py."""
    return counted(count, one)
