"""Reading action items: lists of them in pages, and what stands behind one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from apps.core.errors import Invalid
from apps.postmortems.models import ActionItem, ItemState, Push, Reminder

SOON: Final = timedelta(days=7)
SHOWN: Final = ("open", "overdue", "done", "dropped", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFilters:
    """``owner`` is an e-mail address; ``show`` one of :data:`SHOWN`; ``today`` is the reader's."""

    today: date
    show: str = "open"
    owner: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class ItemPage:
    """In the order of their days. ``next_cursor`` goes on behind the last; empty on the last page."""

    items: list[ActionItem]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """Of open ones; ``soon`` are due within a week, ``mine`` those of whoever asks."""

    open: int
    overdue: int
    soon: int
    mine: int
    mine_overdue: int


def item_page(filters: ItemFilters, *, cursor: str = "", limit: int = 50) -> ItemPage:
    rows = _filtered(filters).select_related("postmortem__incident")
    if cursor:
        due, pk = _parsed(cursor)
        rows = rows.filter(Q(due__gt=due) | Q(due=due, pk__gt=pk))
    found = list(rows.order_by("due", "pk")[: limit + 1])
    items = found[:limit]
    more = f"{items[-1].due.isoformat()}.{items[-1].pk}" if len(found) > limit else ""
    return ItemPage(items, more)


def _filtered(filters: ItemFilters) -> QuerySet[ActionItem]:
    rows = ActionItem.objects.all()
    if filters.show in ("open", "overdue"):
        rows = rows.filter(state=ItemState.OPEN)
    if filters.show == "overdue":
        rows = rows.filter(due__lt=filters.today)
    if filters.show in (ItemState.DONE, ItemState.DROPPED):
        rows = rows.filter(state=filters.show)
    if filters.owner:
        rows = rows.filter(owner=filters.owner)
    return rows.filter(text__icontains=filters.text) if filters.text else rows


def _parsed(cursor: str) -> tuple[date, int]:
    day, _dot, number = cursor.partition(".")
    try:
        return date.fromisoformat(day), int(number)
    except ValueError:
        text = _("is not one: take next_cursor of the page before, or leave it out")
        raise Invalid.field("cursor", text) from None


def item_counts(today: date, me: str) -> ItemCounts:
    """One question."""
    mine, overdue = Q(owner=me.lower()), Q(due__lt=today)
    found = ActionItem.objects.filter(state=ItemState.OPEN).aggregate(
        open=Count("pk"),
        overdue=Count("pk", filter=overdue),
        soon=Count("pk", filter=Q(due__gte=today, due__lte=today + SOON)),
        mine=Count("pk", filter=mine),
        mine_overdue=Count("pk", filter=mine & overdue),
    )
    return ItemCounts(**found)


def owners() -> list[str]:
    """Who has promised something that is still open."""
    rows = ActionItem.objects.filter(state=ItemState.OPEN).order_by("owner").values_list("owner", flat=True)
    return list(rows.distinct()[:200])


def items_of(postmortem_id: int) -> list[ActionItem]:
    """Open ones first, each group in the order of their days."""
    found = list(ActionItem.objects.filter(postmortem=postmortem_id).order_by("due", "pk"))
    return sorted(found, key=lambda item: item.state != ItemState.OPEN)


def reminders_of(item: ActionItem) -> list[Reminder]:
    return list(Reminder.objects.filter(item=item).order_by("-on")[:50])


def pushes_of(item: ActionItem) -> list[Push]:
    return list(Push.objects.filter(item=item).order_by("-pk")[:20])


def problems_of(items: Sequence[ActionItem]) -> dict[int, str]:
    """Of each item whose newest reminder could not be sent: why."""
    newest: dict[int, str] = {}
    rows: Any = Reminder.objects.filter(item__in=[item.pk for item in items]).order_by("item_id", "on")
    for item_id, problem in rows.values_list("item_id", "problem"):
        newest[item_id] = problem
    return {item_id: problem for item_id, problem in newest.items() if problem}
