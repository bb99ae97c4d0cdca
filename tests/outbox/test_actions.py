"""Cancel and retry-now: legal while a message waits, and never racing a claim."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.audit.models import AuditEntry
from apps.core.actor import Actor
from apps.core.errors import Conflict, Forbidden, NotFound
from apps.outbox.actions import cancel, retry_now
from apps.outbox.models import Message, MessageStatus
from tests.conftest import make_service
from tests.outbox.deadletters.factories import dead
from tests.outbox.factories import put, take
from tests.outbox.replays.helpers import together

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", ["PENDING", "RETRYING"])
def test_a_waiting_message_is_cancelled(status: str, lead: Actor) -> None:
    service = make_service()
    message = put(service, status=status)
    cancelled = cancel(message_id=message.pk, actor=lead, reason="wrong amount")
    assert (cancelled.status, cancelled.settled_at is not None) == (MessageStatus.CANCELLED, True)
    assert take(service) == []
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target, entry.reason) == ("message.cancelled", f"message {message.pk}", "wrong amount")
    assert (entry.before, entry.after) == ({"status": status}, {"status": "CANCELLED"})


def test_what_is_on_its_way_is_not_cancelled(lead: Actor) -> None:
    service = make_service()
    message = put(service)
    take(service, worker="delivery@host-1")
    with pytest.raises(Conflict, match=r"on its way right now \(delivery@host-1.*Wait"):
        cancel(message_id=message.pk, actor=lead)
    assert Message.objects.get(pk=message.pk).status == MessageStatus.SENDING
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("status", "words"), [("SENT", "was sent"), ("CANCELLED", "cancelled"), ("EXPIRED", "expired")]
)
def test_what_has_ended_stays_as_it_is(status: str, words: str, lead: Actor) -> None:
    message = put(make_service(), status=status, settled_at=timezone.now())
    for action in (cancel, retry_now):
        with pytest.raises(Conflict, match=words):
            action(message_id=message.pk, actor=lead)


def test_a_dead_letter_is_discarded_or_replayed_instead(lead: Actor) -> None:
    letter = dead(make_service())
    with pytest.raises(Conflict, match=f"Discard dead letter {letter.pk}"):
        cancel(message_id=letter.message_id, actor=lead)
    with pytest.raises(Conflict, match=f"Replay dead letter {letter.pk}"):
        retry_now(message_id=letter.message_id, actor=lead)


def test_cancelling_a_head_lets_the_next_of_its_key_go(lead: Actor) -> None:
    service = make_service()
    head = put(service, ordering_key="k", next_attempt_at=timezone.now() + timedelta(hours=1), status="RETRYING")
    second, third = (put(service, ordering_key="k", held=True) for _ in range(2))
    other = put(service, ordering_key="other", held=True)
    cancel(message_id=head.pk, actor=lead)
    held = dict(Message.objects.values_list("pk", "held"))
    assert (held[second.pk], held[third.pk], held[other.pk]) == (False, True, True)
    assert [row.id for row in take(service)] == [second.pk]


def test_cancelling_a_follower_lets_nobody_past_the_head(lead: Actor) -> None:
    service = make_service()
    head = put(service, ordering_key="k")
    follower = put(service, ordering_key="k", held=True)
    last = put(service, ordering_key="k", held=True)
    cancel(message_id=follower.pk, actor=lead)
    assert [row.id for row in take(service)] == [head.pk]
    assert Message.objects.get(pk=last.pk).status == MessageStatus.PENDING


def test_retry_now_drops_the_wait_and_keeps_the_attempts(lead: Actor) -> None:
    service = make_service()
    later = timezone.now() + timedelta(hours=1)
    message = put(service, status="RETRYING", attempt_count=3, next_attempt_at=later, send_after=later)
    assert take(service) == []
    changed = retry_now(message_id=message.pk, actor=lead)
    assert (changed.status, changed.attempt_count, changed.send_after) == (MessageStatus.RETRYING, 3, None)
    assert [row.id for row in take(service)] == [message.pk]
    assert AuditEntry.objects.get().action == "message.retried_now"


def test_retry_now_respects_the_order_of_a_key(lead: Actor) -> None:
    service = make_service()
    put(service, ordering_key="k", status="RETRYING", next_attempt_at=timezone.now() + timedelta(hours=1))
    follower = put(service, ordering_key="k")
    retry_now(message_id=follower.pk, actor=lead)
    assert take(service) == []


def test_an_expired_message_is_not_tried_again(lead: Actor) -> None:
    message = put(make_service(), expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Conflict, match="must not be sent any more"):
        retry_now(message_id=message.pk, actor=lead)


@pytest.mark.parametrize("action", [cancel, retry_now])
def test_unknown_messages_and_missing_permissions(action: object, lead: Actor, viewer: Actor) -> None:
    message = put(make_service())
    with pytest.raises(NotFound, match="no message 4711"):
        action(message_id=4711, actor=lead)  # type: ignore[operator]
    with pytest.raises(Forbidden, match=r"messages\.write"):
        action(message_id=message.pk, actor=viewer)  # type: ignore[operator]


@pytest.mark.django_db(transaction=True)
def test_cancelling_never_races_a_claim(lead: Actor) -> None:
    """Each message is either cancelled or on its way, never both and never neither."""
    service = make_service()
    messages = [put(service) for _ in range(24)]

    def cancel_all() -> int:
        cancelled = 0
        for message in messages:
            try:
                cancel(message_id=message.pk, actor=lead)
            except Conflict:
                continue
            cancelled += 1
        return cancelled

    def claim_some() -> int:
        return sum(len(take(service, 2)) for _ in range(12))

    cancelled, claimed = together(cancel_all, claim_some)
    assert Message.objects.filter(status=MessageStatus.CANCELLED).count() == cancelled
    assert Message.objects.filter(status=MessageStatus.SENDING).count() == claimed
    assert Message.objects.filter(status=MessageStatus.PENDING).count() == len(messages) - cancelled - claimed
