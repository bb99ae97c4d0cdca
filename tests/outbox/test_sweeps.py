"""What happens even if every signal and nudge is lost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from apps.outbox.delivery.sweeps import expire_overdue, prune, release_orphans, rescue_lost
from apps.outbox.models import Attempt, DeadLetter, DeathReason, DeliveryMinute, Message, MessageStatus
from tests.conftest import make_service
from tests.outbox.factories import put, take

pytestmark = pytest.mark.django_db

RNG = random.Random(1)


@pytest.fixture(autouse=True)
def begins_with_the_oldest() -> Iterator[None]:
    """Pruning remembers how far it got."""
    cache.clear()
    yield
    cache.clear()


def end_leases() -> None:
    Message.objects.filter(status=MessageStatus.SENDING).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_lost_worker_costs_an_attempt_and_loses_nothing() -> None:
    service = make_service()
    message = put(service)
    take(service, worker="killed")
    assert rescue_lost(RNG) == 0
    end_leases()
    assert rescue_lost(RNG) == 1
    message.refresh_from_db()
    attempt = message.attempts.get()
    assert (message.status, message.attempt_count) == (MessageStatus.RETRYING, 1)
    assert attempt.outcome == "lost"
    assert "killed" in attempt.error


def test_a_message_that_kills_its_worker_each_time_is_dead_lettered() -> None:
    """Edge 10: a poison message must not kill workers for ever."""
    service = make_service()
    message = put(service, max_attempts=3)
    for _ in range(3):
        Message.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
        assert len(take(service)) == 1
        end_leases()
        rescue_lost(RNG)
    message.refresh_from_db()
    letter = DeadLetter.objects.get()
    assert (message.status, letter.reason, letter.ambiguous) == ("DLQ", DeathReason.WORKER_LOST, True)


def test_a_full_page_of_lost_rows_does_not_starve_the_rest() -> None:
    """Edge 8: rescue goes on with the next page."""
    service = make_service()
    Message.objects.bulk_create([Message(service=service, payload="{}") for _ in range(700)])
    take(service, 700)
    end_leases()
    assert rescue_lost(RNG) + rescue_lost(RNG) == 700


def test_what_is_overdue_expires_and_is_counted() -> None:
    service = make_service()
    message = put(service, expires_at=timezone.now() - timedelta(seconds=1))
    live = put(service, expires_at=timezone.now() + timedelta(hours=1))
    assert expire_overdue() == 1
    message.refresh_from_db()
    live.refresh_from_db()
    assert (message.status, live.status) == (MessageStatus.EXPIRED, MessageStatus.PENDING)
    assert DeliveryMinute.objects.get().expired == 1


def test_an_orphaned_follower_is_let_go() -> None:
    service = make_service()
    orphan = put(service, ordering_key="k", held=True)
    behind = put(service, ordering_key="k", held=True)
    assert release_orphans() == 1
    orphan.refresh_from_db()
    behind.refresh_from_db()
    assert (orphan.held, behind.held) == (False, True)


def test_pruning_takes_old_delivered_messages_with_their_attempts_and_nothing_else() -> None:
    service = make_service()
    old = timezone.now() - timedelta(days=40)
    gone = put(service, status=MessageStatus.SENT, created_at=old)
    dead = put(service, status=MessageStatus.DLQ, created_at=old)
    young = put(service, status=MessageStatus.SENT)
    for message in (gone, young):
        Attempt.objects.create(message=message, number=1, started_at=old, duration_ms=1, worker="w", outcome="sent")
    assert prune(keep_sent=timedelta(days=30)) == 1
    assert set(Message.objects.values_list("id", flat=True)) == {dead.pk, young.pk}
    assert Attempt.objects.get().message_id == young.pk


def test_pruning_gets_past_old_messages_that_must_stay() -> None:
    service, old = make_service(), timezone.now() - timedelta(days=60)
    stay = [put(service, status=MessageStatus.DLQ) for _ in range(25)]
    gone = [put(service, status=MessageStatus.SENT) for _ in range(15)]
    Message.objects.update(created_at=old)
    young = put(service, status=MessageStatus.SENT)
    runs = [prune(keep_sent=timedelta(days=30), limit=10, batches=1) for _ in range(5)]
    assert runs == [0, 0, 5, 10, 0]
    assert set(Message.objects.values_list("id", flat=True)) == {*(message.pk for message in stay), young.pk}
    assert not Message.objects.filter(pk__in=[message.pk for message in gone]).exists()


def test_pruning_comes_back_for_what_ended_since() -> None:
    service, old = make_service(), timezone.now() - timedelta(days=60)
    first, *_ = [put(service, status=MessageStatus.DLQ) for _ in range(25)]
    Message.objects.update(created_at=old)
    keep = timedelta(days=30)
    assert [prune(keep_sent=keep, limit=10, batches=1) for _ in range(2)] == [0, 0]
    Message.objects.filter(pk=first.pk).update(status=MessageStatus.SENT)
    assert [prune(keep_sent=keep, limit=10, batches=1) for _ in range(2)] == [0, 1]


def test_pruning_looks_at_a_few_messages_at_a_time() -> None:
    service, old = make_service(), timezone.now() - timedelta(days=60)
    for _ in range(25):
        put(service, status=MessageStatus.SENT)
    Message.objects.update(created_at=old)
    assert prune(keep_sent=timedelta(days=30), limit=10, batches=2) == 20
    assert prune(keep_sent=timedelta(days=30), limit=10) == 5
