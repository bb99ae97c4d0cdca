"""The engine with its real database work and without sockets."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from apps.channels.base import DeliveryError, Envelope, Receipt
from apps.outbox.delivery.engine import Engine, EngineLimits
from apps.outbox.models import Attempt, DeadLetter, DeathReason, Message, MessageStatus
from apps.services.models import Service
from tests.conftest import make_service
from tests.outbox.factories import put
from tests.outbox.fakes import FakeBreaker, FakeStore

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = {"base": 0.01, "cap": 0.05, "jitter": "none", "max_attempts": 3}


def engine_for(store: FakeStore, **limits: Any) -> Engine:
    limits.setdefault("look_s", 0.05)
    limits.setdefault("grace_s", 2.0)
    return Engine(store=store, limits=EngineLimits(**limits), rng=random.Random(1))


def run_until(engine: Engine, done: Callable[[], bool], seconds: float = 15.0) -> None:
    """Run the engine in a thread of its own, as the Celery worker does, until ``done``."""
    thread = threading.Thread(target=lambda: asyncio.run(engine.run(seconds)))
    thread.start()
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
    engine.stop()
    thread.join(10)
    assert not thread.is_alive()


def settled() -> bool:
    return not Message.objects.filter(status__in=("PENDING", "RETRYING", "SENDING")).exists()


def statuses() -> dict[str, int]:
    found: dict[str, int] = {}
    for status in Message.objects.values_list("status", flat=True):
        found[status] = found.get(status, 0) + 1
    return found


def test_it_delivers_everything_once_with_the_same_id() -> None:
    service = make_service()
    Message.objects.bulk_create([Message(service=service, json=f'{{"n":{n}}}') for n in range(300)])
    store = FakeStore()
    run_until(engine_for(store), settled)
    sent = store.channels["midtrans"].sent
    assert statuses() == {"SENT": 300}
    assert len({envelope.wire_id for envelope in sent}) == len(sent) == 300
    assert {envelope.body for envelope in sent} == {f'{{"n":{n}}}'.encode() for n in range(300)}
    assert store.channels["midtrans"].most_at_once <= 64


def test_retries_carry_the_same_key_and_end_as_sent() -> None:
    service = make_service(retry=QUICK)
    put(service, idempotency_key="order-1")
    tries: list[str] = []

    async def fail_twice(envelope: Envelope) -> Receipt:
        tries.append(envelope.idempotency_key)
        if len(tries) < 3:
            raise DeliveryError("HTTP 500", error_class="http_5xx", status_code=500)
        return Receipt(200)

    run_until(engine_for(FakeStore(behaviours={"midtrans": fail_twice})), settled)
    assert tries == ["order-1"] * 3
    assert statuses() == {"SENT": 1}
    assert list(Attempt.objects.order_by("number").values_list("number", "outcome")) == [
        (1, "failed"),
        (2, "failed"),
        (3, "sent"),
    ]


def test_an_open_breaker_spends_no_attempt_and_buries_nobody() -> None:
    """Edge 33: knative removed a breaker that dead-lettered what it held back."""
    service = make_service(retry=QUICK)
    put(service)
    breaker = FakeBreaker(allowed=0)
    engine = engine_for(FakeStore(breakers={"midtrans": breaker}))
    begin = time.monotonic()
    run_until(engine, lambda: time.monotonic() - begin > 0.5)
    message = Message.objects.get()
    assert (message.status, message.attempt_count) == (MessageStatus.PENDING, 0)


def test_the_breaker_hears_what_counts_and_gets_unused_permits_back() -> None:
    service = make_service(retry={**QUICK, "max_attempts": 1})
    for _ in range(3):
        put(service)
    answers = iter(
        [
            Receipt(200),
            DeliveryError("HTTP 404", error_class="http_4xx", permanent=True, counts_as_failure=False),
            DeliveryError("HTTP 503", error_class="http_5xx"),
        ]
    )

    async def answer(envelope: Envelope) -> Receipt:
        value = next(answers)
        if isinstance(value, DeliveryError):
            raise value
        return value

    breaker = FakeBreaker()
    run_until(engine_for(FakeStore(behaviours={"midtrans": answer}, breakers={"midtrans": breaker})), settled)
    assert sorted(breaker.calls) == ["failure", "ignore", "success"]
    assert breaker.released[0] == 64 - 3


def test_a_template_error_is_permanent_with_a_readable_cause() -> None:
    service = make_service()
    Message.objects.create(service=service, body_template="{{ total }}", body_data={})
    run_until(engine_for(FakeStore()), settled)
    letter = DeadLetter.objects.get()
    assert letter.reason == DeathReason.TEMPLATE
    assert "'total' is undefined" in letter.error


def test_a_bug_in_a_channel_is_an_attempt_not_a_lost_message() -> None:
    """Edge 11: a payload that cannot be handled backs off and ends as a dead letter."""
    service = make_service(retry=QUICK)
    put(service)

    async def broken(envelope: Envelope) -> Receipt:
        raise RuntimeError("bug")

    run_until(engine_for(FakeStore(behaviours={"midtrans": broken})), settled)
    assert statuses() == {"DLQ": 1}
    assert Attempt.objects.count() == 3


def test_keys_arrive_in_order_through_failures() -> None:
    service = make_service(retry={**QUICK, "max_attempts": 50})
    for n in range(12):
        for key in ("a", "b", "c"):
            put(service, ordering_key=key, payload=str(n))
    seen: dict[int, list[str]] = {}
    order: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    rng = random.Random(5)
    keys = dict(Message.objects.values_list("id", "ordering_key"))

    async def flaky(envelope: Envelope) -> Receipt:
        seen.setdefault(envelope.message_id, []).append("try")
        if rng.random() < 0.3:
            raise DeliveryError("HTTP 500", error_class="http_5xx")
        order[keys[envelope.message_id]].append(int(envelope.body))
        return Receipt(200)

    run_until(engine_for(FakeStore(behaviours={"midtrans": flaky})), settled)
    assert order == {key: list(range(12)) for key in "abc"}


def test_a_hanging_service_holds_only_its_own_slots() -> None:
    slow, quick = make_service("slow"), make_service("quick")
    Message.objects.bulk_create([Message(service=slow, payload="{}") for _ in range(500)])
    Message.objects.bulk_create([Message(service=quick, payload="{}") for _ in range(200)])

    async def hang(envelope: Envelope) -> Receipt:
        await asyncio.sleep(3)
        raise DeliveryError("timed out", error_class="timeout", timed_out=True)

    store = FakeStore(behaviours={"slow": hang})
    engine = engine_for(store, grace_s=0.1)
    begin = time.monotonic()
    run_until(engine, lambda: Message.objects.filter(service="quick", status="SENT").count() == 200)
    assert time.monotonic() - begin < 3
    assert store.channels["slow"].most_at_once <= 64


def test_a_stop_gives_back_what_did_not_finish_without_counting_an_attempt() -> None:
    """Edge 14: a graceful shutdown is not a failed attempt."""
    service = make_service()
    put(service)
    started = threading.Event()

    async def hang(envelope: Envelope) -> Receipt:
        started.set()
        await asyncio.sleep(60)
        return Receipt(200)

    run_until(engine_for(FakeStore(behaviours={"midtrans": hang}), grace_s=0.1), started.is_set)
    message = Message.objects.get()
    assert (message.status, message.attempt_count) == (MessageStatus.PENDING, 0)
    assert message.due_at <= timezone.now()
    assert Attempt.objects.get().error_class == "interrupted"


def test_a_stop_settles_what_finishes_within_the_grace_period() -> None:
    service = make_service()
    put(service)
    started = threading.Event()

    async def slow(envelope: Envelope) -> Receipt:
        started.set()
        await asyncio.sleep(0.3)
        return Receipt(200)

    run_until(engine_for(FakeStore(behaviours={"midtrans": slow})), started.is_set)
    assert statuses() == {"SENT": 1}


def test_a_database_that_goes_away_loses_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edge 13: answers wait until they can be settled, and are not sent again."""
    service = make_service()
    for _ in range(20):
        put(service)
    store = FakeStore()
    original, failures = FakeStore.settle, iter([True] * 5)

    def sometimes(self: FakeStore, batch: Any) -> None:
        if next(failures, False):
            raise OperationalError("the connection is lost")
        original(self, batch)

    monkeypatch.setattr(FakeStore, "settle", sometimes)
    run_until(engine_for(store), settled)
    assert statuses() == {"SENT": 20}
    assert len(store.channels["midtrans"].sent) == 20


def test_a_send_that_ignores_its_time_out_gives_its_slot_back() -> None:
    """Edge 7: a worker stuck in a call reclaims the slot."""
    service = make_service(breaker={"timeout": 0.1}, retry={**QUICK, "max_attempts": 1})
    put(service)

    async def stuck(envelope: Envelope) -> Receipt:
        await asyncio.sleep(3600)
        return Receipt(200)

    store = FakeStore(behaviours={"midtrans": stuck})
    engine = engine_for(store)
    engine.stuck_after_s = 0.2
    run_until(engine, lambda: Attempt.objects.exists())
    assert Attempt.objects.get().outcome == "lost"


def test_new_configuration_is_used_without_a_restart() -> None:
    make_service()
    store = FakeStore()
    engine = engine_for(store)

    def changed() -> bool:
        if "midtrans" in store.channels and not Message.objects.exists():
            other = Service.objects.create(name="added", channel="http", settings={"url": "http://x"})
            put(other)
        return Message.objects.exists() and settled()

    run_until(engine, changed)
    assert len(store.channels["added"].sent) == 1


def test_a_misconfigured_service_does_not_stop_the_others() -> None:
    make_service("broken", retry={"base": "x"})
    good = make_service("good")
    put(good)
    run_until(engine_for(FakeStore()), settled)
    assert statuses() == {"SENT": 1}


def test_it_rescues_what_a_killed_worker_left_without_any_help() -> None:
    """Edges 2, 9 and 16: no nudge, no beat, no rescue job; the engine looks by itself."""
    service = make_service(retry=QUICK)
    message = put(service, status="SENDING", claim_id="00000000-0000-4000-8000-000000000000")
    Message.objects.filter(pk=message.pk).update(lease_until=timezone.now())
    run_until(engine_for(FakeStore()), settled)
    assert statuses() == {"SENT": 1}
    assert list(Attempt.objects.order_by("id").values_list("outcome", flat=True)) == ["lost", "sent"]


def test_nudges_in_any_number_are_harmless() -> None:
    service = make_service()
    for _ in range(50):
        put(service)
    store = FakeStore()
    engine = engine_for(store)

    def nudging() -> bool:
        for _ in range(20):
            engine.wake()
        return settled()

    run_until(engine, nudging)
    assert len(store.channels["midtrans"].sent) == 50


def test_a_bug_in_settling_ends_the_engine_instead_of_leaving_it_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """The leases end, another engine takes over; nothing waits for an engine that cannot settle."""
    service = make_service()
    put(service)

    def broken(self: FakeStore, batch: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(FakeStore, "settle", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(engine_for(FakeStore()).run(10))
    assert Message.objects.get().status == MessageStatus.SENDING
