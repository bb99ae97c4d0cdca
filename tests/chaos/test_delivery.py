"""Delivery by real worker processes on the test's own database: mixed failures, kills, outages."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest
from django.db import connection

from apps.outbox.models import Attempt, DeadLetter, Message
from apps.services.models import Service
from tests.conftest import make_service
from tests.processes import Stack, kill, stack, wait_for
from tests.provider import Provider

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]

RETRY = {"max_attempts": 10, "base": 0.2, "cap": 1, "jitter": "full"}
# The breaker has its own tests; here it must not hide what delivery does.
CALM = {"timeout": 1, "error_threshold_percentage": 100, "volume_threshold": 100_000, "ramp_seconds": 0}


@pytest.fixture
def portal() -> Iterator[Stack]:
    with stack() as running:
        yield running


def service_for(provider: Provider, name: str = "midtrans", **fields: object) -> Service:
    fields.setdefault("retry", RETRY)
    fields.setdefault("breaker", CALM)
    fields.setdefault("limits", {"max_in_flight": 128})
    return make_service(name, settings={"url": provider.url}, **fields)


def insert(service: Service, number: int, prefix: str = "k", tenant: str = "", key: str = "") -> None:
    """As another program would: plain SQL with the database's defaults."""
    with connection.cursor() as cursor:
        for start in range(0, number, 1000):
            rows = range(start, min(number, start + 1000))
            values = ", ".join(["(%s, %s, %s, %s, %s)"] * len(rows))
            cursor.execute(
                "INSERT INTO notification_outbox (service, payload, idempotency_key, tenant_id, ordering_key) "
                f"VALUES {values}",
                [value for n in rows for value in (service.pk, str(n), f"{prefix}-{n}", tenant, key)],
            )


def left() -> int:
    return Message.objects.filter(status__in=("PENDING", "RETRYING", "SENDING")).count()


def finished() -> bool:
    return left() == 0


def test_five_kills_in_the_middle_lose_nothing(portal: Stack) -> None:
    """Duplicates on the wire are at most what was in flight when a worker died."""
    in_flight = 64
    with Provider(script=lambda key, times: (200, 0.02)) as provider:
        service = service_for(provider, limits={"max_in_flight": in_flight})
        insert(service, 5000)
        worker = portal.start_delivery()
        for part in range(1, 6):
            wait_for(lambda part=part: len(provider.received) > part * 700, 60, f"part {part}")
            kill(worker)
            worker = portal.start_delivery()
        wait_for(finished, 90, "the end of delivery")
    assert Message.objects.filter(status="SENT").count() == 5000
    assert len(provider.succeeded) == 5000
    assert sum(provider.succeeded.values()) - 5000 <= 5 * in_flight
    assert Attempt.objects.filter(outcome="lost").count() <= 5 * in_flight


def test_a_broker_that_is_away_for_a_while_stops_nothing(portal: Stack) -> None:
    with Provider() as provider:
        service = service_for(provider)
        portal.start_delivery()
        insert(service, 10, "before")
        wait_for(finished, 30, "delivery before the outage")
        portal.stop_broker()
        time.sleep(30)
        insert(service, 10, "during")
        took = wait_for(finished, 10, "delivery without a broker")
        assert took < 5
        portal.start_broker()
        insert(service, 10, "after")
        assert wait_for(finished, 10, "delivery after the outage") < 5
    assert len(provider.succeeded) == 30


def test_order_of_keys_holds_over_workers_and_failures(portal: Stack) -> None:
    rng = random.Random(3)

    def flaky(key: str, times: int) -> tuple[int, float]:
        return (500 if rng.random() < 0.1 else 200), 0.0

    with Provider(script=flaky) as provider:
        service = service_for(provider, retry={**RETRY, "max_attempts": 50, "base": 0.05, "cap": 0.2})
        keys, per_key = 1000, 20
        rows = [(f"key-{k}", n) for n in range(per_key) for k in range(keys)]
        Message.objects.bulk_create(
            [Message(service=service, ordering_key=k, payload=str(n), headers={"X-Key": k}) for k, n in rows],
            batch_size=1000,
        )
        for n in range(4):
            portal.start_delivery(f"delivery-{n}")
        wait_for(finished, 200, "the end of delivery", every=0.5)
    expected = [str(n) for n in range(per_key)]
    assert len(provider.order) == keys
    assert [key for key, order in provider.order.items() if order != expected] == []


def test_a_hanging_service_does_not_slow_its_neighbour(portal: Stack) -> None:
    """The neighbour's p95 from accept to delivery stays within 1.5 times of what it is alone."""
    with (
        Provider(script=lambda key, times: (200, 60.0)) as hanging,
        Provider(script=lambda key, times: (200, 0.02), keep=True) as quick,
    ):
        # Nudges of this process have no broker; looking often keeps the look out of what is measured.
        portal.extra_env["DELIVERY_LOOK_MS"] = "20"
        slow = service_for(hanging, "slow", breaker={**CALM, "timeout": 10})
        neighbour = service_for(quick, "neighbour")
        portal.start_delivery()
        p95_of(neighbour, "warm-up", number=5)
        alone = p95_of(neighbour, "alone")
        insert(slow, 10_000, "slow")
        wait_for(lambda: hanging.at_once >= 64, 30, "the hanging service to fill its slots")
        beside = p95_of(neighbour, "beside")
    print(f"p95 alone {alone * 1000:.0f} ms, beside a hanging service {beside * 1000:.0f} ms")
    # 50 ms of slack: both figures are a few tens of milliseconds on two busy cores.
    assert beside <= 1.5 * alone + 0.05


def p95_of(service: Service, prefix: str, number: int = 150) -> float:
    """Seconds from the row's commit to its settlement, sent one by one with a nudge each."""
    from apps.outbox.services import enqueue

    ids = []
    for n in range(number):
        ids.append(enqueue(service=service.pk, payload=str(n), idempotency_key=f"{prefix}-{n}").message_id)
        time.sleep(0.01)
    wait_for(lambda: Message.objects.filter(id__in=ids, status="SENT").count() == number, 60, prefix)
    rows = Message.objects.filter(id__in=ids).values_list("created_at", "sent_at")
    took = sorted((sent - created).total_seconds() for created, sent in rows if sent)
    return float(took[int(len(took) * 0.95)])


def test_ten_messages_of_one_tenant_pass_a_hundred_thousand_of_another(portal: Stack) -> None:
    with Provider(keep=True) as provider:
        service = service_for(provider, limits={"max_in_flight": 64})
        insert(service, 100_000, "big", tenant="big")
        portal.start_delivery()
        wait_for(lambda: len(provider.received) > 500, 60, "the big tenant to be under way")
        insert(service, 10, "small", tenant="small")
        start = time.monotonic()
        small = Message.objects.filter(tenant_id="small", status="SENT")
        wait_for(lambda: small.count() == 10, 30, "the small tenant's ten")
        took = time.monotonic() - start
        assert Message.objects.filter(tenant_id="big", status="PENDING").count() > 50_000
        assert took < 5


def test_a_message_that_kills_workers_ends_as_a_dead_letter_without_stopping_the_others(portal: Stack) -> None:
    with Provider() as provider:
        service = service_for(provider)
        insert(service, 5)
        Message.objects.filter(payload="3").update(
            status="SENDING", attempt_count=9, attempt_total=9, claim_id="0" * 8 + "-0000-4000-8000-" + "0" * 12
        )
        with connection.cursor() as cursor:
            cursor.execute("UPDATE notification_outbox SET lease_until = created_at WHERE payload = '3'")
        portal.start_delivery()
        wait_for(finished, 30, "the end of delivery")
    assert DeadLetter.objects.get().reason == "worker_lost"
    assert Message.objects.filter(status="SENT").count() == 4
