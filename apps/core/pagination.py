"""Keyset pagination: a page costs the same wherever it is, and rows that arrive do not shift it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _

from apps.core.errors import Invalid

MAX_LIMIT: Final = 500
BIGGEST_ID: Final = 2**63 - 1

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Newest first. ``next_cursor`` continues behind the last row; None on the last page."""

    items: list[Row]
    next_cursor: int | None


def parse_cursor(text: str | int | None) -> int | None:
    """A cursor from a query string; raises :class:`Invalid` for what cannot be one."""
    if text is None or text == "":
        return None
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 0 < value <= BIGGEST_ID:
        raise Invalid.field("cursor", _("is not one: take next_cursor of the page before, or leave it out"))
    return value


def page_by_id(rows: QuerySet[Row, Any], *, cursor: int | None, limit: int) -> Page[Row]:
    """Up to ``limit`` rows (1 to 500) with ids below ``cursor``, newest first."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid.field("limit", _("must be from 1 to {most}").format(most=MAX_LIMIT))
    if cursor is not None:
        rows = rows.filter(pk__lt=cursor)
    found = list(rows.order_by("-pk")[: limit + 1])
    more = len(found) > limit
    items = found[:limit]
    return Page(items, items[-1].pk if more else None)
