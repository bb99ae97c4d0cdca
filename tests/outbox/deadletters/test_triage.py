from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.audit.models import AuditEntry
from apps.core.actor import Actor
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.outbox.deadletters import working
from apps.outbox.deadletters.services import assign, discard, note, snooze
from apps.outbox.models import DeadLetter, DeadLetterState, Message, MessageStatus
from tests.conftest import make_service
from tests.outbox.deadletters.factories import dead

pytestmark = pytest.mark.django_db


def test_discarding_closes_letters_and_keeps_their_messages(lead: Actor) -> None:
    letters = [dead(make_service()), dead(make_service("other"))]
    assert discard(ids=[letters[0].pk], actor=lead, reason="a test order") == 1
    closed, left = (DeadLetter.objects.get(pk=letter.pk) for letter in letters)
    assert (closed.state, closed.note, closed.resolved_by) == (DeadLetterState.DISCARDED, "a test order", str(lead))
    assert closed.resolved_at is not None
    assert left.state == DeadLetterState.OPEN
    assert Message.objects.get(pk=closed.message_id).status == MessageStatus.DLQ
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target, entry.reason) == (
        "deadletter.discarded",
        f"dead letter {closed.pk}",
        "a test order",
    )


def test_by_cause_in_batches_each_with_its_audit_row(lead: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "BATCH", 4)
    service = make_service()
    letters = [dead(service, f"order {number} is closed") for number in range(10)]
    other = dead(service, "something else")
    assert discard(cause=letters[0].cause_id, actor=lead, reason="obsolete") == 10
    assert DeadLetter.objects.get(state="open") == other
    assert [entry.after["letters"] for entry in AuditEntry.objects.order_by("id")] == [4, 4, 2]


def test_a_reason_is_required_and_filters_are_checked(lead: Actor) -> None:
    letter = dead(make_service())
    with pytest.raises(Invalid, match="reason"):
        discard(ids=[letter.pk], actor=lead, reason="  ")
    with pytest.raises(Invalid, match="selection"):
        discard(actor=lead, reason="all of them?")
    with pytest.raises(Invalid, match="status_code"):
        discard(filters={"status_code": "many"}, actor=lead, reason="x")


def test_what_is_not_open_is_said(lead: Actor) -> None:
    letter = dead(make_service(), state="replayed")
    with pytest.raises(Conflict, match=f"{letter.pk} is replayed, 4711 is unknown"):
        discard(ids=[letter.pk, 4711], actor=lead, reason="x")
    with pytest.raises(Conflict, match="No open dead letter matches service nobody"):
        discard(filters={"service": "nobody"}, actor=lead, reason="x")


def test_permission_is_checked_in_the_action(viewer: Actor) -> None:
    letter = dead(make_service())
    for verb in (
        lambda: discard(ids=[letter.pk], actor=viewer, reason="x"),
        lambda: assign(ids=[letter.pk], actor=viewer, assignee="me"),
        lambda: note(ids=[letter.pk], actor=viewer, text="x"),
        lambda: snooze(ids=[letter.pk], actor=viewer, until=None),
    ):
        with pytest.raises(Forbidden, match=r"deadletters\.triage"):
            verb()


def test_assign_note_and_snooze(lead: Actor) -> None:
    letter = dead(make_service())
    until = timezone.now() + timedelta(hours=1)
    assert assign(cause=letter.cause_id, actor=lead, assignee="payments") == 1
    assert note(ids=[letter.pk], actor=lead, text="asked the bank") == 1
    assert snooze(ids=[letter.pk], actor=lead, until=until) == 1
    letter.refresh_from_db()
    assert (letter.assignee, letter.note, letter.snoozed_until) == ("payments", "asked the bank", until)
    assert letter.state == DeadLetterState.OPEN
    assert snooze(ids=[letter.pk], actor=lead, until=None) == 1
    assert AuditEntry.objects.count() == 4
    with pytest.raises(Invalid, match="in the future"):
        snooze(ids=[letter.pk], actor=lead, until=timezone.now())
