"""The components of the pages as template tags: icons, badges, times, figures, live regions, small charts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from django import template
from django.template.context import Context
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from heroicons.templatetags.heroicons import heroicon_outline, heroicon_solid

from apps.core import charts, human
from apps.core.clock import now
from apps.core.live import Regions
from apps.core.masking import mask_addresses, mask_recipient

register = template.Library()

register.filter("number", human.number)
register.filter("decimal", lambda value, places=1: human.number(value, int(places)))
register.filter("compact", human.compact)
register.filter("percent", human.percent)
register.filter("ms", human.milliseconds)
register.filter("span", human.span)
register.filter("mask", mask_recipient)
register.filter("veil", mask_addresses)

# The four states and the lock. Octagon and dashed circle are not among heroicons.
OWN_ICONS: Final = {
    "octagon": '<path d="M8.2 2.8h7.6l5.4 5.4v7.6l-5.4 5.4H8.2l-5.4-5.4V8.2z"/><path d="M12 7.5v5.2m0 3.3v.1"/>',
    "dashed": '<circle cx="12" cy="12" r="9" stroke-dasharray="3.6 3.47"/>',
    "pulse": '<path d="M2.5 12h4l3-8 5 16 3-8h4"/>',
}
STATE_ICONS: Final = {
    "good": "check",
    "warning": "exclamation-triangle",
    "bad": "octagon",
    "unknown": "dashed",
    "info": "information-circle",
}


@register.simple_tag
def icon(name: str, size: int = 16) -> SafeString:
    """An icon beside words; it is never the only sign, so it is hidden from screen readers."""
    return _icon(str(name), size)


@register.simple_tag
def state_icon(tone: str, size: int = 14) -> SafeString:
    """The icon of good, warning, bad, unknown or info."""
    return _icon(STATE_ICONS.get(tone, "dashed"), size)


@lru_cache(maxsize=512)
def _icon(name: str, size: int) -> SafeString:
    if name in OWN_ICONS:
        return mark_safe(  # noqa: S308  constants of this file
            f'<svg viewBox="0 0 24 24" width="{size}" height="{size}" fill="none" stroke="currentColor" '
            f'stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">'
            f"{OWN_ICONS[name]}</svg>"
        )
    style = heroicon_solid if name.endswith(":solid") else heroicon_outline
    svg = style(name.removesuffix(":solid"), size=size, **{"aria-hidden": "true", "stroke-width": "1.8"})
    return mark_safe(re.sub(r"\s+", " ", svg))  # noqa: S308  from the icon package


@register.simple_tag
def badge(mark: Any, locked: bool = False) -> SafeString:
    """``mark`` has ``tone`` and ``label``; ``locked`` (or mark.locked) shows an operator's lock instead."""
    sign = "lock-closed" if locked or getattr(mark, "locked", False) else STATE_ICONS.get(mark.tone, "")
    shown = _icon(sign, 13) if sign else ""
    return format_html('<span class="badge {}">{}{}</span>', mark.tone, shown, mark.label)


@register.filter
def iso(at: datetime) -> str:
    """The time for programs, whatever the person's zone: ``2026-11-21T10:31:04Z``."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _time(at: datetime | None, kind: str, text: str) -> SafeString:
    if at is None:
        return mark_safe('<span class="muted">–</span>')
    return format_html(
        '<time datetime="{}" title="{}" data-time="{}">{}</time>',
        iso(at),
        human.exact(at),
        kind,
        text,
    )


@register.simple_tag
def ago(at: datetime | None) -> SafeString:
    """``6 min ago``, the exact time on hover; it runs on in the browser."""
    return _time(at, "ago", human.ago(at, now()) if at else "")


@register.simple_tag
def age(at: datetime | None) -> SafeString:
    """How long since ``at``: ``6 min 12 s``."""
    return _time(at, "age", human.span((now() - at).total_seconds()) if at else "")


@register.simple_tag
def until(at: datetime | None) -> SafeString:
    """A countdown to ``at``: ``0:41``."""
    return _time(at, "until", human.countdown((at - now()).total_seconds()) if at else "")


@register.simple_tag
def clock(at: datetime | None) -> SafeString:
    """``10:31:04 WIB``; with the day when it was another day. In tables and timelines the zone is left to the title."""
    shown = _time(at, "clock", human.clock(at, now()) if at else "")
    return format_html('{}<span class="zone"> {}</span>', shown, human.zone(at)) if at else shown


@register.filter
def from_now(seconds: float | None) -> datetime | None:
    """The time ``seconds`` from now, to whole seconds so that two renderings agree."""
    if seconds is None:
        return None
    at = now() + timedelta(seconds=max(0.0, seconds) + 0.5)
    return at.replace(microsecond=0)


@register.filter
def plural(count: int, noun: str) -> str:
    """``{{ n|plural:"message" }}`` is ``1,204 messages``; the noun is one of apps/core/nouns.py."""
    return human.plural(count, noun)


@register.filter
def without_numbers(message: str) -> str:
    """A cause's message reads better with ``…`` where numbers and ids were taken out."""
    return re.sub(r"\(?#+\)?", "…", message)


@register.filter
def initials(name: str) -> str:
    """Two letters for an avatar."""
    parts = [part for part in re.split(r"[\s@._-]+", name) if part]
    return "".join(part[0] for part in parts[:2]).upper() or "?"


@register.simple_tag
def copy(value: Any, what: str = "") -> SafeString:
    """A button that copies ``value``; over plain HTTP too (page.js)."""
    label = _("Copy {what}").format(what=what or value)
    return format_html(
        '<button type="button" class="copy" data-copy="{}" title="{}" aria-label="{}">'
        '<span class="todo">{}</span><span class="done">{}</span></button>',
        value,
        label,
        label,
        _icon("clipboard-document", 14),
        _icon("check", 14),
    )


@register.simple_block_tag(takes_context=True)
def region(context: Context, content: str, name: str, announce: bool = False) -> SafeString:
    """A piece of the page that refreshes by itself. With ``announce`` screen readers are told its heading and state
    when those change (live.js), not all that is in it.
    """
    regions = context.get("regions")
    if not isinstance(regions, Regions):
        regions = Regions()
    return regions.add(name, content, " data-announce" if announce else "")


SPARK_WIDTH: Final = 360
SPARK_TOP: Final = 4
SPARK_BOTTOM: Final = 32


@register.inclusion_tag("components/sparkline.html")
def sparkline(rates: charts.Points, threshold: float, spans: Sequence[charts.Span], label: str) -> dict[str, Any]:
    """Success rate over time with the breaker's state as a band under it. ``threshold`` is a share."""
    lines = charts.polylines(rates, width=SPARK_WIDTH, top=SPARK_TOP, bottom=SPARK_BOTTOM)
    return {
        "lines": lines,
        "threshold_y": SPARK_BOTTOM - threshold * (SPARK_BOTTOM - SPARK_TOP),
        "spans": spans,
        "label": label,
        "width": SPARK_WIDTH,
    }


@register.simple_tag
def trend(counts: Sequence[int], label: str) -> SafeString:
    """Counts over time as small bars."""
    shapes = format_html_join(
        "",
        '<rect x="{}" y="{}" width="{}" height="{}"{}/>',
        (
            (bar.x, bar.y, bar.width, round(bar.height, 1), mark_safe(' class="none"') if bar.empty else "")
            for bar in charts.bars(counts, width=76, height=20)
        ),
    )
    return format_html(
        '<svg class="bars" viewBox="0 0 76 20" preserveAspectRatio="none" role="img" aria-label="{}: {}">{}</svg>',
        label,
        ", ".join(map(str, counts)),
        shapes,
    )


@register.simple_tag
def progress_bar(total: int, *parts: Any, label: str, small: bool = False) -> SafeString:
    """``parts`` alternate between a class (sent, failed, way, skipped) and a count."""
    shapes, at = [], 0.0
    for tone, count in zip(parts[::2], parts[1::2], strict=True):
        width = 100 * count / total if total else 0.0
        shapes.append((tone, f"{at:.2f}", f"{width:.2f}"))
        at += width
    return format_html(
        '<svg class="progress{}" role="img" aria-label="{}" width="100%" height="10">{}</svg>',
        " small" if small else "",
        label,
        format_html_join("", '<rect class="{}" x="{}%" width="{}%" y="0" height="100%"/>', shapes),
    )
