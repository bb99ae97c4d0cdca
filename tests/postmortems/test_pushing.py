"""A post-mortem and its items on their way to an issue tracker: one thing each, however often it is pushed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.audit.models import AuditEntry
from apps.core.actor import Actor
from apps.core.errors import Forbidden, Invalid, NotFound
from apps.outbox.models import Message
from apps.postmortems.models import ItemState, Push
from apps.postmortems.pushing import push, pushed, trackers
from tests.conftest import make_service
from tests.postmortems.promises import made_item, made_postmortem

pytestmark = pytest.mark.django_db
PROJECT = "4af68566-94a4-4eb3-94aa-50dc9427067b"


@pytest.fixture(autouse=True)
def plane(db: None) -> None:
    make_service("plane", channel="plane", settings={"workspace": "acme", "project": PROJECT})
    make_service("midtrans")


def body_of(message: Message) -> dict[str, Any]:
    found = message.json if isinstance(message.json, str) else json.dumps(message.json)
    return dict(json.loads(found))


def test_one_message_for_each_thing_with_its_own_name(lead: Actor) -> None:
    pm = made_postmortem(sections={"summary": "It **stood** still. [x](javascript:alert(1))"})
    item = made_item(pm, text="Limit <b>the</b> queue")
    done = made_item(pm, text="Renew it", state=ItemState.DONE)
    made = push(actor=lead, postmortem_id=pm.pk, service="plane", token="t1")
    names = [f"opsportal-pm-{pm.pk}", f"opsportal-item-{item.pk}", f"opsportal-item-{done.pk}"]
    assert [row.external_id for row in made] == names
    sent = {row.ordering_key: body_of(row) for row in Message.objects.order_by("pk")}
    assert list(sent) == names
    assert all(body["external_id"] == name for name, body in sent.items())
    first = sent[names[0]]
    assert first["name"] == f"PM-{pm.pk} Payments stood still"
    assert "<strong>stood</strong>" in first["description_html"]
    assert "javascript:" not in first["description_html"].replace("[x](javascript:alert(1))", "")
    assert sent[names[1]]["target_date"] == item.due.isoformat()
    assert "completed" not in sent[names[1]]
    assert sent[names[2]]["completed"] is True
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target) == ("postmortem.pushed", f"postmortem:{pm.pk}")
    assert entry.after["messages"] == [row.message_id for row in made]


def test_the_same_press_twice_is_one_push_and_another_press_another(lead: Actor) -> None:
    pm = made_postmortem()
    assert len(push(actor=lead, postmortem_id=pm.pk, service="plane", token="t1")) == 1
    assert push(actor=lead, postmortem_id=pm.pk, service="plane", token="t1") == []
    assert AuditEntry.objects.count() == 1
    pm.title = "Better words"
    pm.save()
    (again,) = push(actor=lead, postmortem_id=pm.pk, service="plane", token="t2")
    assert again.external_id == f"opsportal-pm-{pm.pk}"
    names = [body_of(row)["name"] for row in Message.objects.order_by("pk")]
    assert names == [f"PM-{pm.pk} Payments stood still", f"PM-{pm.pk} Better words"]
    shown = pushed(pm.pk)
    assert [(each.push.pk, each.status) for each in shown] == [(again.pk, "PENDING")]
    Message.objects.filter(pk=again.message_id).update(status="SENT")
    assert pushed(pm.pk)[0].status == "SENT"
    Message.objects.all().delete()
    assert pushed(pm.pk)[0].status == ""


def test_only_services_of_the_plane_channel_are_trackers(lead: Actor) -> None:
    assert trackers() == ["plane"]
    pm = made_postmortem()
    for service in ("midtrans", "", "nothing"):
        with pytest.raises(Invalid, match="service"):
            push(actor=lead, postmortem_id=pm.pk, service=service, token="t")
    for token in ("", "x" * 65):
        with pytest.raises(Invalid, match="token"):
            push(actor=lead, postmortem_id=pm.pk, service="plane", token=token)
    with pytest.raises(NotFound):
        push(actor=lead, postmortem_id=999, service="plane", token="t")
    assert not Push.objects.exists()
    assert not Message.objects.exists()


def test_a_reader_pushes_nothing(viewer: Actor) -> None:
    with pytest.raises(Forbidden):
        push(actor=viewer, postmortem_id=made_postmortem().pk, service="plane", token="t")
    assert not Message.objects.exists()


def test_a_tracker_is_led_back_to_the_portal_and_told_why_something_is_dropped(lead: Actor, settings: Any) -> None:
    settings.PUBLIC_URL = "https://ops.example.com"
    pm = made_postmortem()
    made_item(pm, state=ItemState.DROPPED, reason="The <i>queue</i> is gone")
    push(actor=lead, postmortem_id=pm.pk, service="plane", token="t")
    for row in Message.objects.all():
        assert f'href="https://ops.example.com/post-mortems/{pm.pk}"' in body_of(row)["description_html"]
    assert "The &lt;i&gt;queue&lt;/i&gt; is gone" in body_of(Message.objects.order_by("pk").last())["description_html"]
