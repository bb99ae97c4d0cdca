from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.audit.models import AuditEntry
from apps.core.actor import Actor
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from apps.outbox.deadletters.editing import edit_and_replay
from apps.outbox.models import DeadLetter, Message, MessageStatus
from apps.outbox.replays.services import create_replay
from apps.outbox.selectors import changed_fields, message_detail
from tests.conftest import make_service
from tests.outbox.deadletters.factories import dead

pytestmark = pytest.mark.django_db


def edit(letter: DeadLetter, actor: Actor, changes: dict[str, Any], **options: Any) -> Message:
    return edit_and_replay(
        dead_letter_id=letter.pk, changes=changes, actor=actor, reason="corrected the address", **options
    )


def test_a_corrected_copy_goes_out_and_the_original_stays(lead: Actor) -> None:
    fields = {"payload": '{"b":1,"a":1.10}', "headers": {"X-A": "1"}, "ordering_key": "k", "idempotency_key": "order-7"}
    letter = dead(make_service(), recipient="budi@exampel.com", priority=7, tenant_id="acme", **fields)
    copy = edit(letter, lead, {"recipient": "budi@example.com"})
    original = Message.objects.get(pk=letter.message_id)
    letter.refresh_from_db()
    assert (original.status, original.recipient) == (MessageStatus.DLQ, "budi@exampel.com")
    assert (copy.status, copy.recipient, copy.edited_from) == ("PENDING", "budi@example.com", original.pk)
    assert (copy.payload, copy.headers, copy.priority) == (original.payload, {"X-A": "1"}, 7)
    assert (copy.tenant_id, copy.ordering_key) == ("acme", "k")
    assert (letter.state, str(copy.pk) in letter.note) == ("replayed", True)
    assert changed_fields(copy, original) == {"recipient": ("budi@exampel.com", "budi@example.com")}
    detail = message_detail(original.pk)
    assert detail.copies == [copy]
    assert message_detail(copy.pk).original == original


def test_a_copy_has_an_identity_of_its_own_unless_the_key_is_kept(lead: Actor) -> None:
    service = make_service()
    first, second = (dead(service, idempotency_key=f"order-{number}") for number in (1, 2))
    fresh = edit(first, lead, {"priority": 1})
    kept = edit(second, lead, {"priority": 1}, keep_key=True)
    assert (fresh.idempotency_key, fresh.uid == first.message.uid) == ("", False)
    assert (kept.idempotency_key, kept.uid) == ("order-2", second.message.uid)


def test_ready_json_is_taken_over_byte_for_byte(lead: Actor) -> None:
    text = '{"amount":1.10,"big":12345678901234567890}'
    letter = dead(make_service(), payload=None, json=text)
    copy = edit(letter, lead, {"priority": 9})
    assert (copy.payload, copy.json, copy.content_type) == (text, None, "application/json")


def test_a_changed_body_replaces_the_old_one_of_whatever_kind(lead: Actor) -> None:
    letter = dead(make_service(), payload=None, body_template="Hello {{ nmae }}", body_data={"name": "Budi"})
    copy = edit(letter, lead, {"body_template": "Hello {{ name }}"})
    assert (copy.body_template, copy.body_data, copy.payload) == ("Hello {{ name }}", {"name": "Budi"}, None)
    again = edit(dead(make_service("other"), payload="{}"), lead, {"json": {"a": None}})
    assert (again.json, again.payload) == ('{"a":null}', None)


def test_the_copy_is_checked_like_any_message(lead: Actor) -> None:
    letter = dead(make_service(), expires_at=timezone.now() - timedelta(hours=1))
    with pytest.raises(Invalid, match="expires_at"):
        edit(letter, lead, {"priority": 1})
    with pytest.raises(Invalid, match="priority"):
        edit(letter, lead, {"priority": 11, "expires_at": None})
    with pytest.raises(NotFound, match="no service named 'nobody'"):
        edit(letter, lead, {"service": "nobody", "expires_at": None})
    letter.refresh_from_db()
    assert (letter.state, Message.objects.count()) == ("open", 1)
    assert edit(letter, lead, {"expires_at": None}).expires_at is None


@pytest.mark.parametrize(
    ("changes", "options", "field"),
    [
        ({}, {}, "changes"),
        ({"uid": "x"}, {}, "uid"),
        ({"edited_from": 1}, {}, "edited_from"),
        ({"idempotency_key": "new"}, {"keep_key": True}, "idempotency_key"),
        ({"priority": 1}, {"reason": " "}, "reason"),
    ],
)
def test_what_cannot_be_changed(changes: dict[str, Any], options: dict[str, Any], field: str, lead: Actor) -> None:
    letter = dead(make_service())
    given = {"reason": "r", **options}
    with pytest.raises(Invalid) as error:
        edit_and_replay(dead_letter_id=letter.pk, changes=changes, actor=lead, **given)
    assert error.value.detail[0]["field"] == field


def test_only_an_open_letter_in_no_replay(lead: Actor, viewer: Actor) -> None:
    letter = dead(make_service())
    replay = create_replay(selection={"ids": [letter.pk]}, actor=lead)
    with pytest.raises(Conflict, match=f"part of replay {replay.pk}"):
        edit(letter, lead, {"priority": 1})
    closed = dead(make_service("other"), state="discarded")
    with pytest.raises(Conflict, match="is discarded"):
        edit(closed, lead, {"priority": 1})
    with pytest.raises(NotFound, match="no dead letter 4711"):
        edit_and_replay(dead_letter_id=4711, changes={"priority": 1}, actor=lead, reason="r")
    with pytest.raises(Forbidden, match=r"replays\.run"):
        edit(letter, viewer, {"priority": 1})


def test_the_trail_names_the_fields_but_not_what_they_say(lead: Actor) -> None:
    letter = dead(make_service())
    copy = edit(letter, lead, {"recipient": "secret@example.com"})
    entry = AuditEntry.objects.get(action="deadletter.edited_and_replayed")
    assert entry.after == {"message": copy.pk, "changed": ["recipient"], "keep_key": False}
    assert entry.reason == "corrected the address"
