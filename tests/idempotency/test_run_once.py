from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import transaction

from apps.core.errors import Invalid
from apps.idempotency.errors import InFlight, KeyReused
from apps.idempotency.models import IdempotencyRecord
from apps.idempotency.services import Outcome, clean_expired, run_once

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Work:
    """Counts how often it ran."""

    def __init__(self, answer: Any = "done") -> None:
        self.answer = answer
        self.runs = 0

    def __call__(self) -> Any:
        self.runs += 1
        return self.answer


def use(work: Any, *, key: str = "k", payload: Any = b"p", scope: str = "s", ttl: int | None = None) -> Outcome:
    return run_once(scope=scope, key=key, payload=payload, work=work, ttl=ttl)


@pytest.fixture(params=["own transaction", "caller's transaction"])
def mode(request: pytest.FixtureRequest, transactional_db: None) -> Any:
    """Every rule holds whether or not the caller has a transaction open."""
    if request.param == "own transaction":
        yield
        return
    with transaction.atomic():
        yield


@pytest.mark.usefixtures("mode")
class TestRules:
    def test_second_use_gets_the_first_answer(self) -> None:
        work = Work({"id": 7})
        assert use(work) == Outcome({"id": 7}, replayed=False)
        assert use(work) == Outcome({"id": 7}, replayed=True)
        assert work.runs == 1

    def test_an_answer_of_none_is_an_answer(self) -> None:
        work = Work(None)
        use(work)
        assert use(work) == Outcome(None, replayed=True)

    def test_scopes_and_keys_are_apart(self) -> None:
        work = Work()
        for scope, key in (("a", "k"), ("b", "k"), ("a", "l"), ("a" * 300, "k"), ("a" * 301, "k")):
            assert not use(work, scope=scope, key=key).replayed
        assert work.runs == 5

    def test_same_key_with_another_payload_is_refused(self) -> None:
        use(Work())
        with pytest.raises(KeyReused) as caught:
            use(Work(), payload=b"q")
        assert caught.value.code == "idempotency_key_reused"
        assert caught.value.status == 422
        assert caught.value.detail[0]["field"] == "idempotency_key"

    def test_payload_order_of_keys_does_not_matter(self) -> None:
        use(Work(), payload={"a": 1, "b": [1, 2]})
        assert use(Work(), payload={"b": [1, 2], "a": 1}).replayed

    def test_work_that_raises_frees_the_key(self) -> None:
        def fail() -> None:
            IdempotencyRecord.objects.filter(key="nothing").delete()
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            use(fail)
        assert not IdempotencyRecord.objects.exists()
        assert not use(Work()).replayed

    def test_a_key_is_free_again_after_its_time(self) -> None:
        with time_machine.travel(NOON, tick=False) as clock:
            use(Work(1), ttl=100)
            clock.shift(99)
            assert use(Work(2), ttl=100) == Outcome(1, replayed=True)
            clock.shift(1)
            assert use(Work(2), payload=b"other", ttl=100) == Outcome(2, replayed=False)
            assert use(Work(3), payload=b"other", ttl=100) == Outcome(2, replayed=True)

    def test_in_flight_and_a_crashed_first_use(self) -> None:
        with time_machine.travel(NOON, tick=False) as clock:
            crashed = IdempotencyRecord.objects.create(
                scope="s",
                key="k",
                payload_hash=run_hash(b"p"),
                claim="dead",
                claimed_until=NOON + timedelta(seconds=60),
                expires_at=NOON + timedelta(days=1),
            )
            with pytest.raises(InFlight) as caught:
                use(Work())
            assert (caught.value.code, caught.value.status) == ("in_flight", 409)
            with pytest.raises(KeyReused):
                use(Work(), payload=b"q")
            clock.shift(60)
            assert not use(Work()).replayed
            crashed.refresh_from_db()
            assert crashed.claim != "dead"

    def test_a_first_use_that_lost_its_lease_does_not_count(self) -> None:
        def slow() -> str:
            IdempotencyRecord.objects.update(claim="somebody else's")
            return "late"

        with pytest.raises(InFlight):
            use(slow)

    @pytest.mark.parametrize("key", ["", "x" * 256, "a\x00b", "line\nbreak", "\ud800"])
    def test_bad_keys_are_named(self, key: str) -> None:
        with pytest.raises(Invalid) as caught:
            use(Work(), key=key)
        assert caught.value.detail[0]["field"] == "idempotency_key"


def run_hash(payload: bytes) -> str:
    from apps.idempotency.services import payload_hash

    return payload_hash(payload)


@pytest.mark.django_db(transaction=True)
def test_work_and_answer_are_one_transaction() -> None:
    """The loser's work is rolled back with its claim."""

    def slow() -> str:
        IdempotencyRecord.objects.create(
            scope="w", key="written by work", payload_hash="", claim="", claimed_until=NOON, expires_at=NOON
        )
        IdempotencyRecord.objects.filter(scope="s").update(claim="somebody else's")
        return "late"

    with pytest.raises(InFlight):
        use(slow)
    assert not IdempotencyRecord.objects.filter(scope="w").exists()


@pytest.mark.django_db
def test_rolling_back_the_callers_transaction_frees_the_key() -> None:
    with pytest.raises(TypeError), transaction.atomic():
        use(Work()).answer()
    assert not use(Work()).replayed


@pytest.mark.django_db
def test_cleaning_removes_what_is_over_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.idempotency.services.CLEAN_BATCH", 2)
    with time_machine.travel(NOON, tick=False) as clock:
        for number in range(5):
            use(Work(), key=f"short-{number}", ttl=10)
        use(Work(), key="long", ttl=1000)
        IdempotencyRecord.objects.create(
            scope="s",
            key="under way",
            payload_hash="",
            claim="c",
            claimed_until=NOON + timedelta(seconds=60),
            expires_at=NOON + timedelta(seconds=1),
        )
        clock.shift(20)
        assert clean_expired(batches=2) == 4
        assert clean_expired() == 1
        assert set(IdempotencyRecord.objects.values_list("key", flat=True)) == {"long", "under way"}
