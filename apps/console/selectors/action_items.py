"""Action items as pages show them: with their day in words, and what became of reminders and pushes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.console import marks
from apps.console.marks import Mark
from apps.outbox.models import Message
from apps.postmortems.item_selectors import items_of, problems_of, pushes_of, reminders_of
from apps.postmortems.models import ActionItem, ItemState, PostMortem
from apps.postmortems.pushing import pushed, trackers

OPEN = Mark("", gettext_lazy("Open"))
OVERDUE = Mark("bad", gettext_lazy("Overdue"))
SOON = Mark("warning", gettext_lazy("Due soon"))
DONE = Mark("good", gettext_lazy("Done"))
DROPPED = Mark("unknown", gettext_lazy("Dropped"))
PRUNED = Mark("unknown", gettext_lazy("No longer in the outbox"))
SOON_DAYS = 3


@dataclass(frozen=True, slots=True)
class ItemRow:
    """``when`` says how far its day is; ``problem`` why its owner was not reminded."""

    item: ActionItem
    mark: Mark
    when: str
    problem: str = ""


def row_of(item: ActionItem, today: date, problem: str = "") -> ItemRow:
    return ItemRow(item, mark_of(item, today), when_of(item, today), problem if item.state == ItemState.OPEN else "")


def rows_of(items: Sequence[ActionItem]) -> list[ItemRow]:
    today, problems = timezone.localdate(), problems_of(items)
    return [row_of(item, today, problems.get(item.pk, "")) for item in items]


def mark_of(item: ActionItem, today: date) -> Mark:
    if item.state != ItemState.OPEN:
        return DONE if item.state == ItemState.DONE else DROPPED
    days = (item.due - today).days
    return OVERDUE if days < 0 else SOON if days <= SOON_DAYS else OPEN


def when_of(item: ActionItem, today: date) -> str:
    days = (item.due - today).days
    if days == 0:
        return _("today")
    if days > 0:
        return ngettext("in {n} day", "in {n} days", days).format(n=days)
    return ngettext("{n} day ago", "{n} days ago", -days).format(n=-days)


def items_context(postmortem: PostMortem) -> dict[str, Any]:
    """What ``console/action_items.html`` shows of a post-mortem: its items, and where they were pushed."""
    rows = rows_of(items_of(postmortem.pk))
    return {
        "item_rows": rows,
        "items_open": sum(row.item.state == ItemState.OPEN for row in rows),
        "pushes": [_push(each.push, each.status) for each in pushed(postmortem.pk)],
        "can_push": bool(trackers()),
    }


def item_context(item: ActionItem) -> dict[str, Any]:
    """One item with its story."""
    reminders, pushes = reminders_of(item), pushes_of(item)
    states = _statuses([*(row.message_id for row in reminders), *(row.message_id for row in pushes)])
    row = rows_of([item])[0]
    return {
        "item": item,
        "row": row,
        "mark": row.mark,
        "reminders": [(each, _message_mark(states.get(each.message_id or 0, ""))) for each in reminders],
        "pushes": [_push(each, states.get(each.message_id, "")) for each in pushes],
    }


def _push(push: Any, status: str) -> dict[str, Any]:
    return {"push": push, "mark": _message_mark(status), "known": bool(status)}


def _message_mark(status: str) -> Mark:
    return marks.MESSAGE.get(status, PRUNED)


def _statuses(ids: Iterable[int | None]) -> Mapping[int, str]:
    wanted = [pk for pk in ids if pk is not None]
    return dict(Message.objects.filter(pk__in=wanted).values_list("pk", "status")) if wanted else {}
