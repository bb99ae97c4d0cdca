"""Components with something inside: timeline entries, figures that lead somewhere, tabs, the bar of what is selected.

Each renders one template of ``templates/components/``; ``/components`` shows them all.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

register = template.Library()


@register.simple_block_tag
def event(content: str, at: datetime | None, title: str, tone: str = "", href: str = "") -> SafeString:
    """An entry of ``<ol class="timeline">``; what is between the tags stands under its title."""
    inner = mark_safe(content.strip())  # noqa: S308  a rendered template: autoescaping has done its work
    shown = {"at": at, "title": title, "tone": tone, "href": href, "content": inner}
    return render_to_string("components/event.html", shown)


@register.inclusion_tag("components/stat.html")
def stat(value: Any, label: str, href: str = "", tone: str = "", note: str = "") -> dict[str, Any]:
    """A figure in ``<div class="stats">``. ``href`` leads to the rows behind it; ``tone`` colours the figure."""
    return {"value": value, "label": label, "href": href, "tone": tone, "note": note}


@register.inclusion_tag("components/chip.html")
def chip(label: str, href: str, on: bool = False, count: int | None = None) -> dict[str, Any]:
    """A choice of ``<nav class="chips scroll">``; ``count`` says how many rows are behind it."""
    return {"label": label, "href": href, "on": on, "count": count}


@register.inclusion_tag("components/chip.html")
def filter_chip(label: str, value: Any, href: str) -> dict[str, Any]:
    """A filter that is set; pressing it takes it away, so ``href`` is the page without it."""
    return {"label": label, "value": value, "href": href, "on": True, "removes": True}


@register.inclusion_tag("components/tab.html")
def tab(label: str, href: str, current: bool = False, count: int | None = None) -> dict[str, Any]:
    """A page of ``<nav class="tabs">``: tabs are links, so each has an address."""
    return {"label": label, "href": href, "current": current, "count": count}


@register.simple_block_tag
def selection(content: str, total: int = 0, field: str = "every_page") -> SafeString:
    """The bar of ``<form data-select>`` that appears with the first chosen row; the buttons stand between the tags.

    When ``total`` (all rows of all pages) is more than what the page shows, the bar offers to choose them all;
    the form then carries ``field=1``, and the bar says that it spans pages.
    """
    inner = mark_safe(content.strip())  # noqa: S308  a rendered template: autoescaping has done its work
    return render_to_string("components/selection.html", {"total": total, "field": field, "content": inner})
