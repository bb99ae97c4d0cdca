"""Settling, on both databases: fenced, batched, complete."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.outbox.delivery.outcome import Report, Settlement, judge
from apps.outbox.delivery.settle import settle
from apps.outbox.models import (
    Attempt,
    AttemptOutcome,
    Cause,
    DeadLetter,
    DeathReason,
    DeliveryLane,
    DeliveryMinute,
    Message,
    MessageStatus,
)
from apps.outbox.signals import message_died
from apps.services.policies import RetryPolicy
from tests.conftest import make_service
from tests.outbox.factories import failure, put, success, take

pytestmark = pytest.mark.django_db


def finish(*reports: Report, retry: RetryPolicy | None = None, dead_letter_head: bool = False) -> None:
    policy = retry or RetryPolicy(jitter="none")
    rng = random.Random(1)
    batch = [Settlement(r, judge(r, policy, dead_letter_waiting_head=dead_letter_head, rng=rng)) for r in reports]
    settle(batch, "worker-1")


def test_a_success_is_sent_with_its_attempt_kept() -> None:
    service = make_service()
    message = put(service)
    (row,) = take(service)
    finish(success(row, service))
    message.refresh_from_db()
    attempt = message.attempts.get()
    assert (message.status, message.attempt_count, message.claim_id) == (MessageStatus.SENT, 1, None)
    assert message.sent_at is not None
    assert (attempt.number, attempt.outcome, attempt.status_code, attempt.response) == (1, "sent", 200, "ok")
    assert (attempt.worker, attempt.duration_ms) == ("worker-1", 50)


def test_a_retryable_failure_waits_for_its_delay() -> None:
    service = make_service()
    message = put(service)
    (row,) = take(service)
    finish(failure(row, service), retry=RetryPolicy(base=8, jitter="none"))
    message.refresh_from_db()
    assert message.status == MessageStatus.RETRYING
    assert 6 < (message.next_attempt_at - timezone.now()).total_seconds() <= 8
    assert "HTTP 500" in message.last_error
    assert take(service) == []


def test_attempts_count_tries_not_retries() -> None:
    """Vector R03: max_attempts 2 means two tries in all."""
    service = make_service()
    message = put(service, max_attempts=2)
    for _ in range(2):
        Message.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
        (row,) = take(service)
        finish(failure(row, service))
    message.refresh_from_db()
    assert (message.status, message.attempt_count) == (MessageStatus.DLQ, 2)
    assert DeadLetter.objects.get().reason == DeathReason.EXHAUSTED


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_permanent_failure_is_one_attempt(status: int) -> None:
    """Vector R05."""
    service = make_service()
    message = put(service, tenant_id="toko-sari")
    (row,) = take(service)
    finish(failure(row, service, f"HTTP {status}", permanent=True, status_code=status, error_class="http_4xx"))
    message.refresh_from_db()
    letter = DeadLetter.objects.get()
    assert message.status == MessageStatus.DLQ
    assert (letter.reason, letter.status_code, letter.tenant_id, letter.attempts) == (
        "permanent",
        status,
        "toko-sari",
        1,
    )
    assert letter.cause.service == service.name


def test_a_completion_after_the_lease_was_taken_changes_nothing() -> None:
    """Edge 3 of the delivery notes: fenced by the claim's id."""
    service = make_service()
    message = put(service)
    (stale,) = take(service, worker="slow")
    Message.objects.update(status=MessageStatus.PENDING)
    (fresh,) = take(service, worker="quick")
    finish(success(stale, service))
    message.refresh_from_db()
    assert message.status == MessageStatus.SENDING
    assert message.attempts.get().outcome == AttemptOutcome.STALE
    finish(success(fresh, service))
    message.refresh_from_db()
    assert message.status == MessageStatus.SENT


def test_a_message_deleted_while_it_was_sent_does_not_stop_its_siblings() -> None:
    """Edge 12: the completer tolerates rows that are gone."""
    service = make_service()
    gone, kept = put(service), put(service)
    rows = {row.id: row for row in take(service)}
    Message.objects.filter(pk=gone.pk).delete()
    finish(success(rows[gone.pk], service), success(rows[kept.pk], service))
    kept.refresh_from_db()
    assert kept.status == MessageStatus.SENT


def test_a_settled_head_lets_its_next_follower_go() -> None:
    service = make_service()
    _, second, third = (put(service, ordering_key="k") for _ in range(3))
    (row,) = take(service)
    finish(success(row, service))
    assert [row.id for row in take(service)] == [second.pk]
    third.refresh_from_db()
    assert third.held


def test_a_retrying_head_keeps_its_followers_waiting() -> None:
    service = make_service()
    head = put(service, ordering_key="k")
    put(service, ordering_key="k")
    (row,) = take(service)
    finish(failure(row, service))
    assert take(service) == []
    Message.objects.filter(pk=head.pk).update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    assert [row.id for row in take(service)] == [head.pk]


def test_a_dead_head_lets_its_followers_go() -> None:
    service = make_service()
    put(service, ordering_key="k")
    follower = put(service, ordering_key="k")
    (row,) = take(service)
    finish(failure(row, service, permanent=True))
    assert [row.id for row in take(service)] == [follower.pk]


def test_waiting_head_dead_letter_does_not_make_followers_wait() -> None:
    service = make_service()
    put(service, ordering_key="k")
    (row,) = take(service)
    finish(failure(row, service), dead_letter_head=True)
    assert DeadLetter.objects.get().reason == DeathReason.ORDERING


def test_retry_after_slows_the_service_for_every_worker() -> None:
    service = make_service()
    put(service)
    put(service)
    first, _ = take(service, 2)
    finish(failure(first, service, "HTTP 429", status_code=429, retry_after=40.0, counts_as_failure=False))
    lane = DeliveryLane.objects.get()
    assert lane.slowed_until is not None
    assert 35 < (lane.slowed_until - timezone.now()).total_seconds() <= 41
    put(service)
    assert take(service) == []


def test_the_same_cause_is_one_cause_whatever_the_ids() -> None:
    service = make_service()
    for _ in range(3):
        put(service)
    rows = take(service)
    finish(*(failure(r, service, f"order {r.id} is unknown", permanent=True) for r in rows))
    assert Cause.objects.count() == 1
    assert DeadLetter.objects.count() == 3


def test_minutes_add_up() -> None:
    service = make_service()
    for _ in range(4):
        put(service)
    rows = take(service)
    finish(success(rows[0], service), success(rows[1], service, seconds=2.0))
    finish(
        failure(rows[2], service),
        failure(rows[3], service, "timed out", timed_out=True, status_code=None, error_class="timeout"),
    )
    total = {"sent": 0, "failed": 0, "timed_out": 0}
    latency: list[int] = []
    for minute in DeliveryMinute.objects.all():
        for name in total:
            total[name] += getattr(minute, name)
        latency += minute.latency
    assert total == {"sent": 2, "failed": 1, "timed_out": 1}
    assert sum(latency) == 2


def test_text_that_databases_refuse_is_stored_safely() -> None:
    service = make_service()
    put(service)
    (row,) = take(service)
    finish(failure(row, service, "bad \x00 \ud800 text", response_excerpt="\x00\udfff"))
    assert "\x00" not in Attempt.objects.get().error


@pytest.mark.django_db(transaction=True)
def test_news_of_a_death_is_told_after_the_commit() -> None:
    service = make_service()
    put(service)
    (row,) = take(service)
    heard: list[dict[str, Any]] = []

    def listen(**news: Any) -> None:
        heard.append(news)

    message_died.connect(listen)
    try:
        finish(failure(row, service, permanent=True))
    finally:
        message_died.disconnect(listen)
    assert heard[0]["service"] == service.name
    assert heard[0]["dead_letter_ids"] == [DeadLetter.objects.get().pk]


def test_services_settle_in_one_batch() -> None:
    one, two = make_service("one"), make_service("two")
    put(one)
    put(two)
    finish(success(take(one)[0], one), failure(take(two)[0], two))
    assert set(Message.objects.values_list("service_id", "status")) == {("one", "SENT"), ("two", "RETRYING")}
