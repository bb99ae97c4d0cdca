from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from apps.idempotency.errors import InFlight
from apps.idempotency.models import IdempotencyRecord
from apps.idempotency.services import run_once

THREADS = 16


def race(use: Callable[[int], str]) -> Counter[str]:
    """Run ``use`` in 16 threads that start together; count what each of them met."""
    start = threading.Barrier(THREADS)

    def one(number: int) -> str:
        start.wait(30)
        try:
            return use(number)
        except InFlight:
            return "in flight"
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return Counter(pool.map(one, range(THREADS)))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("in_transaction", [False, True])
def test_concurrent_first_use_gives_one_execution(in_transaction: bool) -> None:
    ran: list[int] = []

    def use(number: int) -> str:
        def work() -> int:
            ran.append(number)
            return number

        if in_transaction:
            with transaction.atomic():
                outcome = run_once(scope="race", key="k", payload=b"p", work=work)
        else:
            outcome = run_once(scope="race", key="k", payload=b"p", work=work)
        assert outcome.answer == ran[0]
        return "replayed" if outcome.replayed else "first"

    for _ in range(5):
        ran.clear()
        IdempotencyRecord.objects.all().delete()
        met = race(use)
        assert len(ran) == 1
        assert met["first"] == 1
        assert met["replayed"] + met["in flight"] == THREADS - 1


@pytest.mark.django_db(transaction=True)
def test_an_expired_key_is_taken_over_once() -> None:
    run_once(scope="race", key="k", payload=b"old", work=lambda: "old", ttl=0)
    ran: list[int] = []

    def use(number: int) -> str:
        outcome = run_once(scope="race", key="k", payload=b"new", work=lambda: ran.append(number))
        return "replayed" if outcome.replayed else "first"

    met = race(use)
    assert len(ran) == 1
    assert met["first"] == 1
