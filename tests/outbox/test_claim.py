"""Claiming, on both databases: leases, fairness, priority, order, limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.outbox.delivery.claim import Claim, Claimed, Want, claim
from apps.outbox.models import DeliveryLane, Message, MessageStatus
from apps.services.models import Service
from tests.conftest import make_service

pytestmark = pytest.mark.django_db


def put(service: Service, **fields: Any) -> Message:
    fields.setdefault("payload", "{}")
    return Message.objects.create(service=service, **fields)


def take(service: Service, slots: int = 10, **fields: Any) -> list[Claimed]:
    return ask(service, slots, **fields).rows


def ask(service: Service, slots: int = 10, **fields: Any) -> Claim:
    DeliveryLane.objects.get_or_create(service=service)
    fields.setdefault("max_in_flight", 1000)
    fields.setdefault("max_per_second", None)
    return claim(Want(service=service.name, slots=slots, lease_s=30, **fields), "worker-1")


def test_a_claim_leases_due_messages_and_hands_over_their_content() -> None:
    service = make_service()
    message = put(service, payload='{"b":1,"a":12345678901234567890}', headers={"X-A": "1"}, recipient="r")
    (row,) = take(service)
    message.refresh_from_db()
    assert (row.id, row.payload, row.recipient, row.headers) == (
        message.pk,
        '{"b":1,"a":12345678901234567890}',
        "r",
        '{"X-A": "1"}',
    )
    assert message.status == MessageStatus.SENDING
    assert str(message.claim_id).replace("-", "") == str(row.claim_id).replace("-", "")
    assert message.claimed_by == "worker-1"
    assert message.lease_until is not None
    assert 25 < (message.lease_until - timezone.now()).total_seconds() <= 31


def test_a_claimed_message_is_not_claimed_again() -> None:
    service = make_service()
    put(service)
    assert len(take(service)) == 1
    assert take(service) == []


def test_the_future_waits_and_the_expired_is_left_alone() -> None:
    service = make_service()
    soon = timezone.now() + timedelta(hours=1)
    put(service, send_after=soon)
    put(service, next_attempt_at=soon)
    put(service, expires_at=timezone.now() - timedelta(seconds=1))
    due = put(service, send_after=timezone.now() - timedelta(hours=1))
    assert [row.id for row in take(service)] == [due.pk]


def test_higher_priority_goes_first_then_age() -> None:
    service = make_service()
    low, normal, high, second = (put(service, priority=p) for p in (0, 5, 9, 5))
    assert [row.id for row in sorted_by_claim(take(service, 2), [high, normal])] == [high.pk, normal.pk]
    assert {row.id for row in take(service, 2)} == {second.pk, low.pk}


def sorted_by_claim(rows: list[Claimed], order: list[Message]) -> list[Claimed]:
    place = {message.pk: index for index, message in enumerate(order)}
    return sorted(rows, key=lambda row: place.get(row.id, 99))


def test_tenants_share_a_claim_whatever_their_backlog() -> None:
    service = make_service()
    Message.objects.bulk_create([Message(service=service, payload="{}", tenant_id="big") for _ in range(200)])
    Message.objects.bulk_create([Message(service=service, payload="{}", tenant_id="small") for _ in range(10)])
    first = take(service, 20)
    assert sorted(row.tenant_id for row in first) == ["big"] * 10 + ["small"] * 10


def test_the_rotation_serves_every_tenant_when_slots_are_few() -> None:
    service = make_service()
    for tenant in "abcd":
        put(service, tenant_id=tenant)
        put(service, tenant_id=tenant)
    served = [row.tenant_id for _ in range(4) for row in take(service, 1)]
    assert sorted(served) == ["a", "b", "c", "d"]


def test_more_than_sixty_four_tenants_are_all_served() -> None:
    service = make_service()
    tenants = [f"t{n:03}" for n in range(150)]
    Message.objects.bulk_create([Message(service=service, payload="{}", tenant_id=t) for t in tenants])
    served: list[str] = []
    for _ in range(6):
        served += [row.tenant_id for row in take(service, 50)]
    assert sorted(served) == tenants


def test_one_message_of_a_key_at_a_time_in_order() -> None:
    service = make_service()
    first, second, third = (put(service, ordering_key="order-1") for _ in range(3))
    other = put(service, ordering_key="order-2")
    assert {row.id for row in take(service)} == {first.pk, other.pk}
    assert take(service) == []
    second.refresh_from_db()
    third.refresh_from_db()
    assert second.held
    assert third.held


def test_a_waiting_head_blocks_its_followers_or_is_skipped_by_policy() -> None:
    service = make_service()
    later = timezone.now() + timedelta(hours=1)
    put(service, ordering_key="k", status=MessageStatus.RETRYING, next_attempt_at=later)
    follower = put(service, ordering_key="k")
    assert take(service) == []
    Message.objects.update(held=False)
    assert [row.id for row in take(service, skip_waiting_head=True)] == [follower.pk]


def test_an_older_message_of_a_key_waits_while_a_newer_one_is_on_its_way() -> None:
    """A replay brings back an old message while a newer one of its key is being sent."""
    service = make_service()
    old = put(service, ordering_key="k", status=MessageStatus.DLQ)
    put(service, ordering_key="k", status=MessageStatus.SENDING)
    Message.objects.filter(pk=old.pk).update(status=MessageStatus.PENDING)
    assert take(service) == []


def test_a_claim_of_followers_only_says_there_may_be_more() -> None:
    service = make_service()
    put(service, ordering_key="k", status=MessageStatus.SENDING)
    for _ in range(5):
        put(service, ordering_key="k")
    assert ask(service, 2).more


def test_in_flight_limit_counts_all_workers() -> None:
    service = make_service()
    for _ in range(10):
        put(service)
    assert len(take(service, 10, max_in_flight=4)) == 4
    other = Want(service=service.name, slots=10, lease_s=30, max_in_flight=4, max_per_second=None)
    assert claim(other, "worker-2").rows == []
    assert len(take(service, 10, max_in_flight=4, in_flight=3)) == 1


def test_rate_limit_is_a_token_bucket_in_the_lane() -> None:
    service = make_service()
    for _ in range(10):
        put(service)
    DeliveryLane.objects.create(service=service, tokens=3)
    assert len(take(service, 10, max_per_second=3)) == 3
    answer = ask(service, 10, max_per_second=3)
    assert len(answer.rows) <= 1
    assert DeliveryLane.objects.get().tokens < 3


def test_a_paused_or_slowed_service_is_not_claimed() -> None:
    service = make_service()
    put(service)
    lane = DeliveryLane.objects.create(service=service, slowed_until=timezone.now() + timedelta(seconds=30))
    slowed = ask(service)
    assert slowed.rows == []
    assert slowed.wait_s == 1.0
    DeliveryLane.objects.filter(pk=lane.pk).update(slowed_until=timezone.now() - timedelta(seconds=1))
    Service.objects.update(paused_at=timezone.now())
    assert take(service) == []
    Service.objects.update(paused_at=None)
    assert len(take(service)) == 1


def test_services_do_not_see_each_others_messages() -> None:
    one, two = make_service("one"), make_service("two")
    put(one)
    assert take(two) == []
