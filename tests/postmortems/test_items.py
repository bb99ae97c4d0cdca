"""What was promised: made, changed, ended, taken up again, and shown when the same alert fires."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from apps.audit.models import AuditEntry
from apps.core.actor import Actor
from apps.core.db import database_now
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from apps.postmortems import items
from apps.postmortems.item_selectors import ItemFilters, item_counts, item_page, items_of
from apps.postmortems.models import ActionItem
from tests.postmortems.promises import made_episode, made_item, made_postmortem

pytestmark = pytest.mark.django_db


def today() -> date:
    return database_now().date()


def create(actor: Actor, **changes: Any) -> ActionItem:
    given: dict[str, Any] = {"text": "Limit the queue", "owner": "Budi@Example.com", "due": today()}
    changes.setdefault("postmortem_id", made_postmortem().pk)
    return items.create(actor=actor, **{**given, **changes})


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


def test_a_promise_has_an_owner_and_a_day_and_is_in_the_trail(lead: Actor) -> None:
    item = create(lead, text="  Limit\n the\tqueue\x00 \u202e")
    assert (item.text, item.owner) == ("Limit the queue\N{REPLACEMENT CHARACTER}", "budi@example.com")
    assert (item.due, item.state) == (today(), "open")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target) == ("actionitem.created", f"actionitem:{item.pk}")
    assert entry.after["owner"] == "budi@example.com"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", ""),
        ("text", " \n\u200b"),
        ("text", "x" * 501),
        ("owner", ""),
        ("owner", "budi"),
        ("owner", "budi@example.com\nBcc: all@example.com"),
        ("owner", "javascript:alert(1)"),
        ("due", timedelta(days=-2)),
        ("due", timedelta(days=365 * 10)),
    ],
)
def test_what_makes_no_sense_names_its_field(lead: Actor, field: str, value: Any) -> None:
    given = today() + value if isinstance(value, timedelta) else value
    with pytest.raises(Invalid) as caught:
        create(lead, **{field: given})
    assert caught.value.detail[0]["field"] == field
    assert not ActionItem.objects.exists()


def test_a_promise_belongs_to_a_post_mortem(lead: Actor) -> None:
    with pytest.raises(NotFound, match="no post-mortem 999"):
        create(lead, postmortem_id=999)


def test_changing_keeps_both_sides_and_changing_nothing_leaves_no_trace(lead: Actor) -> None:
    item = made_item(in_days=-30)
    same = items.edit(actor=lead, item_id=item.pk, text=item.text, owner=item.owner, due=item.due)
    assert same.due == item.due
    assert actions() == []
    items.edit(actor=lead, item_id=item.pk, text="Better words", owner=item.owner, due=item.due)
    items.reassign(actor=lead, item_id=item.pk, owner="citra@example.com")
    entry = AuditEntry.objects.order_by("id").last()
    assert entry is not None
    assert (entry.before["owner"], entry.after["owner"]) == ("budi@example.com", "citra@example.com")
    with pytest.raises(Invalid, match="due"):
        items.edit(actor=lead, item_id=item.pk, text="x", owner=item.owner, due=item.due + timedelta(days=1))


def test_done_dropped_and_taken_up_again(lead: Actor) -> None:
    item = made_item()
    done = items.finish(actor=lead, item_id=item.pk)
    assert (done.state, done.ended_by) == ("done", "lead@example.com")
    assert done.ended_at is not None
    for again in (items.finish, items.reopen, items.finish):
        if again is items.finish and ActionItem.objects.get(pk=item.pk).state == "done":
            with pytest.raises(Conflict, match="take it up again"):
                again(actor=lead, item_id=item.pk)
        else:
            again(actor=lead, item_id=item.pk)
    items.reopen(actor=lead, item_id=item.pk)
    with pytest.raises(Invalid, match="reason"):
        items.drop(actor=lead, item_id=item.pk, reason="  ")
    dropped = items.drop(actor=lead, item_id=item.pk, reason="The queue is gone")
    assert (dropped.state, dropped.reason) == ("dropped", "The queue is gone")
    opened = items.reopen(actor=lead, item_id=item.pk)
    assert (opened.state, opened.reason, opened.ended_by, opened.ended_at) == ("open", "", "", None)
    with pytest.raises(Conflict, match="open already"):
        items.reopen(actor=lead, item_id=item.pk)
    assert actions()[-2:] == ["actionitem.dropped", "actionitem.reopened"]


def test_what_is_over_is_not_changed(lead: Actor) -> None:
    item = made_item(state="done", ended_by="ana@example.com")
    with pytest.raises(Conflict, match=r"ana@example\.com"):
        items.reassign(actor=lead, item_id=item.pk, owner="citra@example.com")


@pytest.mark.parametrize("verb", ["create", "edit", "reassign", "finish", "drop", "reopen"])
def test_a_reader_does_none_of_it(viewer: Actor, verb: str) -> None:
    item = made_item()
    fields: dict[str, Any] = {"actor": viewer, "item_id": item.pk}
    words = {"text": "x", "owner": "budi@example.com", "due": item.due}
    extra = {"edit": words, "reassign": {"owner": "x@example.com"}, "drop": {"reason": "x"}}.get(verb, {})
    if verb == "create":
        fields = {"actor": viewer, "postmortem_id": item.postmortem_id, **words}
    with pytest.raises(Forbidden):
        getattr(items, verb)(**fields, **extra)
    assert actions() == []


def test_the_next_similar_alert_finds_what_is_overdue() -> None:
    now = database_now()
    pm = made_postmortem(made_episode("QueueFull", "midtrans"), made_episode("QueueFull", "midtrans"))
    late, later = made_item(pm, in_days=-3), made_item(pm, in_days=-1)
    made_item(pm, in_days=0)
    made_item(pm, in_days=-9, state="done")
    made_item(made_postmortem(made_episode("DiskFull", "midtrans")), in_days=-3)
    made_item(made_postmortem(made_episode("QueueFull", "smtp")), in_days=-3)
    assert [item.pk for item in items.overdue_for("QueueFull", "midtrans", now)] == [late.pk, later.pk]
    assert list(items.overdue_for("QueueFull", "", now)) == []
    assert [item.pk for item in items.overdue_for("QueueFull", "midtrans", now + timedelta(days=1))][-1] != later.pk


def test_a_list_goes_on_where_it_stopped_even_on_the_same_day() -> None:
    pm = made_postmortem()
    expected = [made_item(pm, in_days=days).pk for days in (-5, -5, -5, 2, 3)]
    seen, cursor = [], ""
    for _page in range(5):
        found = item_page(ItemFilters(today=today()), cursor=cursor, limit=2)
        seen += [item.pk for item in found.items]
        cursor = found.next_cursor
        if not cursor:
            break
    assert seen == expected
    for wrong in ("x", "2026-01-01", "2026-13-01.1", "2026-01-01.x"):
        with pytest.raises(Invalid, match="cursor"):
            item_page(ItemFilters(today=today()), cursor=wrong)


def test_filters_and_counts() -> None:
    pm = made_postmortem()
    late = made_item(pm, in_days=-1, text="Alarm for the 100% full queue")
    mine = made_item(pm, in_days=5, owner="ana@example.com")
    far = made_item(pm, in_days=30)
    done = made_item(pm, in_days=-20, state="done")
    dropped = made_item(pm, in_days=1, state="dropped")

    def found(**fields: Any) -> list[int]:
        return [item.pk for item in item_page(ItemFilters(today=today(), **fields)).items]

    assert found() == [late.pk, mine.pk, far.pk]
    assert found(show="overdue") == [late.pk]
    assert found(show="done") == [done.pk]
    assert found(show="dropped") == [dropped.pk]
    assert found(show="all") == [done.pk, late.pk, dropped.pk, mine.pk, far.pk]
    assert found(owner="ana@example.com") == [mine.pk]
    assert found(text="100%") == [late.pk]
    counts = item_counts(today(), "Ana@example.com")
    assert (counts.open, counts.overdue, counts.soon, counts.mine, counts.mine_overdue) == (3, 1, 1, 1, 0)
    assert [item.pk for item in items_of(pm.pk)] == [late.pk, mine.pk, far.pk, done.pk, dropped.pk]
