"""The pages of action items, downloads of a post-mortem, and pushing it, as people use them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.audit.models import AuditEntry
from apps.core.db import database_now
from apps.outbox.models import Message
from apps.postmortems.models import ActionItem, Push
from tests.conftest import make_service
from tests.postmortems.promises import made_item, made_postmortem

Person = Callable[[str], Client]
pytestmark = pytest.mark.django_db
PROJECT = "4af68566-94a4-4eb3-94aa-50dc9427067b"


def plane(name: str = "plane") -> None:
    make_service(name, channel="plane", settings={"workspace": "acme", "project": PROJECT})


def text_of(client: Client, url: str, **query: str) -> str:
    answer = client.get(url, query)
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


def test_the_list_shows_what_is_open_first_what_is_due_first(person: Person) -> None:
    pm = made_postmortem(title="Payments <script>alert(1)</script>")
    late = made_item(pm, in_days=-3, text="Late <b>one</b>")
    mine = made_item(pm, in_days=9, text="Mine", owner="operator@example.com")
    made_item(pm, state="done", text="Gone by")
    client = person("operator")
    html = text_of(client, "/action-items")
    assert html.index(f"/action-items/{late.pk}") < html.index(f"/action-items/{mine.pk}")
    assert "Late &lt;b&gt;one&lt;/b&gt;" in html
    assert "<script>alert" not in html
    assert "Gone by" not in html
    assert "Overdue" in html
    assert "3 days ago" in html
    only_mine = text_of(client, "/action-items", owner="me")
    assert "Mine" in only_mine
    assert "Late" not in only_mine
    assert "Gone by" in text_of(client, "/action-items", state="done")
    assert "Late" in text_of(client, "/action-items", state="overdue", q="late")
    assert "Nothing is promised" not in text_of(client, "/action-items", state="nonsense")


def test_the_list_goes_on(person: Person) -> None:
    pm = made_postmortem()
    for number in range(52):
        made_item(pm, text=f"Promise {number:02}")
    client = person("viewer")
    first = text_of(client, "/action-items")
    cursor = f"{ActionItem.objects.earliest('pk').due.isoformat()}.{ActionItem.objects.order_by('pk')[49].pk}"
    assert f"cursor={cursor}" in first
    second = text_of(client, "/action-items", cursor=cursor)
    assert "Promise 51" in second
    assert "Promise 49" not in second
    assert client.get("/action-items", {"cursor": "x"}).status_code == 422


def test_nothing_promised_yet(person: Person) -> None:
    assert "Nothing is promised" in text_of(person("viewer"), "/action-items")


def test_promise_change_done_undo_drop(person: Person) -> None:
    client, pm = person("operator"), made_postmortem()
    due = (database_now() + timedelta(days=5)).date().isoformat()
    fields = {"text": "Limit the queue", "owner": "budi@example.com", "due": due}
    refused = client.post(f"/post-mortems/{pm.pk}/items/new", {**fields, "owner": "nobody"})
    assert refused.status_code == 422
    past = client.post(f"/post-mortems/{pm.pk}/items/new", {**fields, "due": "2020-01-01"})
    assert past.status_code == 422
    assert "must be a day from today" in past.content.decode()
    client.post(f"/post-mortems/{pm.pk}/items/new", fields)
    item = ActionItem.objects.get()
    assert (item.owner, item.created_by) == ("budi@example.com", "operator@example.com")
    client.post(f"/action-items/{item.pk}/edit", {**fields, "owner": "citra@example.com"})
    done = client.post(f"/action-items/{item.pk}/done", headers={"HX-Request": "true"})
    assert done.status_code == 204
    item.refresh_from_db()
    assert (item.owner, item.state) == ("citra@example.com", "done")
    assert f"/action-items/{item.pk}/reopen" in text_of(client, "/action-items")
    client.post(f"/action-items/{item.pk}/reopen")
    assert client.post(f"/action-items/{item.pk}/drop", {"reason": " "}).status_code == 422
    client.post(f"/action-items/{item.pk}/drop", {"reason": "The queue is gone"})
    item.refresh_from_db()
    assert (item.state, item.reason) == ("dropped", "The queue is gone")
    actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    assert actions == [f"actionitem.{verb}" for verb in ("created", "changed", "done", "reopened", "dropped")]


def test_what_cannot_be_done_now_is_said_on_the_page_it_was_pressed_on(person: Person) -> None:
    client, item = person("operator"), made_item(state="done", ended_by="ana@example.com")
    client.post(f"/action-items/{item.pk}/done")
    assert "take it up again first" in text_of(client, f"/action-items/{item.pk}")


def test_who_only_reads_is_offered_nothing_to_press(person: Person) -> None:
    item = made_item()
    client = person("viewer")
    for url in ("/action-items", f"/action-items/{item.pk}"):
        html = text_of(client, url)
        assert f"/action-items/{item.pk}/edit" not in html
        assert f"/action-items/{item.pk}/done" not in html
    assert client.post(f"/action-items/{item.pk}/done").status_code == 302
    item.refresh_from_db()
    assert item.state == "open"


def test_an_item_shows_why_its_owner_was_not_reminded(person: Person) -> None:
    from apps.postmortems.models import Reminder

    item = made_item(in_days=-1)
    Reminder.objects.create(item=item, on=item.due, at=database_now(), problem="There is no service named smtp")
    client = person("viewer")
    assert "There is no service named smtp" in text_of(client, f"/action-items/{item.pk}")
    assert "its owner could not be reminded" in text_of(client, "/action-items")


# --- files --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("form", "kind", "begins"),
    [
        ("md", "text/markdown", b"# PM-"),
        ("html", "text/html", b"<!doctype html>"),
        ("pdf", "application/pdf", b"%PDF-"),
    ],
)
def test_a_download_can_do_nothing_here(person: Person, form: str, kind: str, begins: bytes) -> None:
    pm = made_postmortem(sections={"summary": "<script>alert(1)</script>"})
    answer = person("viewer").get(f"/post-mortems/{pm.pk}/export.{form}")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith(kind)
    assert answer["Content-Disposition"] == f'attachment; filename="PM-{pm.pk}.{form}"'
    assert answer["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "no-store"
    assert answer.content.startswith(begins)
    assert AuditEntry.objects.get().action == "postmortem.exported"


def test_a_form_there_is_not(person: Person) -> None:
    pm = made_postmortem()
    assert person("viewer").get(f"/post-mortems/{pm.pk}/export.docx").status_code == 404
    assert person("viewer").get("/post-mortems/999/export.pdf").status_code == 404


# --- pushing ------------------------------------------------------------------------------------
def test_pushing_shows_on_the_page_what_the_outbox_says(person: Person) -> None:
    plane()
    client, pm = person("operator"), made_postmortem()
    item = made_item(pm)
    dialog = text_of(client, f"/post-mortems/{pm.pk}/push")
    assert "1 action item becomes a work item too." in dialog
    fields = {"service": "plane", "token": "abc"}
    client.post(f"/post-mortems/{pm.pk}/push", fields)
    client.post(f"/post-mortems/{pm.pk}/push", fields)
    assert Message.objects.count() == Push.objects.count() == 2
    html = text_of(client, f"/post-mortems/{pm.pk}")
    assert "In the issue tracker" in html
    assert "Waiting" in html
    Message.objects.update(status="SENT")
    assert f"opsportal-item-{item.pk}" in text_of(client, f"/action-items/{item.pk}")
    Message.objects.all().delete()
    assert "No longer in the outbox" in text_of(client, f"/post-mortems/{pm.pk}")


def test_without_a_tracker_the_dialog_says_how_to_get_one(person: Person) -> None:
    html = text_of(person("operator"), f"/post-mortems/{made_postmortem().pk}/push")
    assert "add one to config/services.yaml" in html
    assert 'type="submit" class="button primary"' not in html


def test_another_service_is_no_tracker(person: Person) -> None:
    plane()
    make_service("midtrans")
    client, pm = person("operator"), made_postmortem()
    answer = client.post(f"/post-mortems/{pm.pk}/push", {"service": "midtrans", "token": "x"})
    assert answer.status_code == 422
    assert not Push.objects.exists()


@pytest.mark.parametrize("path", ["items/new", "push"])
def test_dialogs_are_for_those_who_work(person: Person, path: str) -> None:
    pm: Any = made_postmortem()
    assert person("viewer").get(f"/post-mortems/{pm.pk}/{path}").status_code == 403
