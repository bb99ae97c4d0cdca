"""The producer against a portal that is up, down, busy, restarted or does not know the key."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from apps.core import clock
from apps.sandbox.producer import producer as module
from apps.sandbox.producer.producer import Producer
from apps.sandbox.producer.shop import Message, Shop
from apps.sandbox.producer.verdict import Kind, judge, pause
from tests.sandbox.portal import FakePortal


class Batches(Shop):
    def job(self) -> list[Message]:
        return [self.message() for _ in range(5)]


class Singles(Shop):
    def job(self) -> list[Message]:
        return [self.message()]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    monkeypatch.setattr(module, "KEY_PAUSE_S", 0.02)
    monkeypatch.setattr(module, "pause", lambda *_: 0.02)


@pytest.fixture
async def portal() -> AsyncIterator[FakePortal]:
    found = FakePortal()
    await found.listener.open()
    yield found
    await found.listener.close()


def make(portal: FakePortal, *, shop: type[Shop] = Singles, rate: float = 200, **options: Any) -> Producer:
    options.setdefault("read_key", lambda: "secret-key")
    return Producer(portal.url, shop(clock.now, seed=1), rate=rate, **options)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(producer: Producer) -> AsyncIterator[Producer]:
    task = asyncio.create_task(producer.run())
    try:
        yield producer
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def adds_up(producer: Producer, portal: FakePortal) -> bool:
    counts = producer.counts
    return counts.made == counts.accepted + counts.refused + counts.waiting and counts.accepted <= len(portal.accepted)


@pytest.mark.parametrize("shop", [Singles, Batches])
async def test_messages_are_posted_with_a_key_each(portal: FakePortal, shop: type[Shop]) -> None:
    async with running(make(portal, shop=shop)) as producer:
        await until(lambda: producer.counts.accepted >= 40)
        assert producer.status()["state"] == "posting"
    assert adds_up(producer, portal)
    assert {path for path, _ in portal.requests} == {
        "/api/v1/messages/batch" if shop is Batches else "/api/v1/messages",
    }


@pytest.mark.parametrize("trouble", [429, 500, 503, 409, (429, {"Retry-After": "0"}), (503, {"Retry-After": "x"})])
async def test_trouble_is_tried_again_with_the_same_key(portal: FakePortal, trouble: Any) -> None:
    portal.answers = [trouble] * 5
    async with running(make(portal, max_in_flight=1)) as producer:
        await until(lambda: producer.counts.accepted >= 3)
    keys = [key for _, key in portal.requests]
    assert keys[:6] == [keys[0]] * 6
    assert producer.counts.retries >= 5
    assert producer.counts.refused == 0
    assert adds_up(producer, portal)


async def test_a_portal_that_is_not_there_yet_is_waited_for(portal: FakePortal) -> None:
    await portal.listener.close()
    async with running(make(portal)) as producer:
        await until(lambda: "does not answer" in producer.problem)
        assert producer.counts.made == 0
        await portal.listener.open()
        await until(lambda: producer.counts.accepted >= 3)
        assert producer.problem == ""


async def test_a_restart_of_the_portal_loses_no_message(portal: FakePortal) -> None:
    async with running(make(portal, max_in_flight=4)) as producer:
        await until(lambda: producer.counts.accepted >= 5)
        await portal.listener.close()
        await until(lambda: producer.state == "trying again")
        assert producer.counts.waiting <= 4
        waiting = producer.counts.waiting
        await portal.listener.open()
        before = producer.counts.accepted
        await until(lambda: producer.counts.accepted >= before + waiting + 3)
        assert producer.state == "posting"
    assert adds_up(producer, portal)
    assert producer.counts.refused == 0


async def test_what_is_under_way_is_bounded(portal: FakePortal) -> None:
    portal.seconds = 0.05
    async with running(make(portal, rate=10_000, max_in_flight=6)) as producer:
        await until(lambda: producer.counts.accepted >= 30)
        assert producer.counts.waiting <= 6
    assert portal.most_in_flight == 6


async def test_a_key_that_comes_later_is_used(portal: FakePortal) -> None:
    keys = ["", ""]
    async with running(make(portal, read_key=lambda: keys[-1])) as producer:
        await until(lambda: producer.state == "waiting for an API key")
        keys.append("wrong")
        await until(lambda: producer.state == "the portal refuses the API key")
        assert "unknown key" in producer.problem
        keys.append("secret-key")
        await until(lambda: producer.counts.accepted >= 3)
    assert producer.counts.refused == 0


async def test_what_the_portal_refuses_is_counted_and_named(portal: FakePortal) -> None:
    portal.answers = [422, 404]
    async with running(make(portal, max_in_flight=1)) as producer:
        await until(lambda: producer.counts.accepted >= 2)
        assert producer.counts.refused == 2
        assert "told to say 404" in producer.problem
    assert adds_up(producer, portal)


async def test_the_pace_is_the_one_asked_for(portal: FakePortal) -> None:
    async with running(make(portal, rate=50)) as producer:
        await until(lambda: producer.counts.accepted > 0)
        await asyncio.sleep(0.5)
        assert 10 <= producer.counts.made <= 35


# --- verdicts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, Kind.ACCEPTED), (202, Kind.ACCEPTED), (207, Kind.ACCEPTED), (401, Kind.KEY), (403, Kind.KEY)]
    + [(status, Kind.AGAIN) for status in (408, 409, 425, 429, 500, 502, 503, 504)]
    + [(status, Kind.REFUSED) for status in (301, 400, 404, 413, 415, 422)],
)
def test_a_status_means(status: int, kind: Kind) -> None:
    assert judge(status, {}, None, 1).kind is kind


def test_a_batch_is_counted_item_by_item() -> None:
    results = [
        {"index": 0, "duplicate": False},
        {"index": 1, "duplicate": True},
        {"index": 2, "error": {"code": "invalid", "message": "recipient: is required"}},
    ]
    verdict = judge(207, {}, {"accepted": 1, "results": results}, 3)
    assert (verdict.accepted, verdict.duplicates, verdict.refused, verdict.why) == (2, 1, 1, "recipient: is required")


def test_a_batch_with_an_item_in_flight_is_posted_again() -> None:
    results = [{"index": 0, "error": {"code": "conflict", "message": "in flight"}}]
    assert judge(207, {}, {"results": results}, 1).kind is Kind.AGAIN


def test_an_answer_seen_before_is_a_duplicate() -> None:
    assert judge(200, {"Idempotency-Replayed": "true"}, {"id": 1}, 1).duplicates == 1


def test_pauses_double_with_jitter_up_to_a_ceiling() -> None:
    assert [pause(tries, 0, 1.0) for tries in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert pause(2, 0, 0.0) == 1
    assert pause(10_000, 0, 1.0) == 10


def test_the_portals_own_wish_wins_when_it_is_longer() -> None:
    assert pause(0, 30, 1.0) == 30
    assert pause(5, 1, 1.0) == 10
    assert pause(0, 10_000, 1.0) == 120
