"""The database is away, slow, read-only, restored from a copy: what each process then does."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models import F

from apps.breakers.guard import Breaker, BreakerOpen
from apps.breakers.models import BreakerEvent, SharedBreaker
from apps.breakers.runtime import Runtime
from apps.breakers.selectors import snapshot
from apps.breakers.services import force_closed, force_open
from apps.core.actor import Actor
from tests.breakers.world import FlakyStore, World
from tests.conftest import make_service

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = {"volume_threshold": 5, "reset_timeout": 5, "timeout": 2, "lease": 8, "ramp_seconds": 0}


def kinds() -> list[str]:
    return list(BreakerEvent.objects.order_by("id").values_list("kind", flat=True))


def test_closed_and_away_each_process_decides_for_itself(cluster: World) -> None:
    make_service("midtrans", breaker=QUICK)
    a, b = cluster.worker("a"), cluster.worker("b")
    for worker in (a, b):
        worker.breaker("midtrans")
        worker.store.away = True
    a.calls("midtrans", failures=4)
    a.sync()
    assert a.agent().away
    assert a.calls("midtrans", failures=3) == 1
    assert a.breaker("midtrans").state() == "OPEN"
    assert b.calls("midtrans", ok=3) == 3
    # Its own half-open, its own probe, its own close.
    cluster.advance(5.1)
    assert a.calls("midtrans", ok=1) == 1
    assert a.breaker("midtrans").state() == "CLOSED"
    # When the database is back the history says what happened, and when.
    cluster.advance(2)
    a.store.away = False
    a.sync()
    assert kinds() == ["locally_opened", "locally_closed"]
    opened, closed = BreakerEvent.objects.order_by("id")
    assert closed.at - opened.at == pytest.approx(5100, abs=300)
    assert opened.detail["counts"]["fail"] == 5


def test_open_and_away_holds_without_probes(cluster: World) -> None:
    make_service("midtrans", breaker=QUICK)
    a = cluster.worker("a")
    a.calls("midtrans", failures=5)
    a.sync()
    a.store.away = True
    cluster.advance(60)
    a.sync()
    for _ in range(5):
        assert a.probe("midtrans").count == 0
        cluster.advance(1)
    assert a.breaker("midtrans").state() == "HALF_OPEN"
    a.store.away = False
    assert a.probe("midtrans").count == 1


def test_a_result_waits_until_the_database_is_back(cluster: World) -> None:
    make_service("midtrans", breaker=QUICK)
    a = cluster.worker("a")
    a.calls("midtrans", failures=5)
    a.sync()
    cluster.advance(5.3)
    probe = a.probe("midtrans")
    a.store.away = True
    probe.permit.success(0.1)
    a.turn()
    cluster.advance(2)
    a.turn()
    assert kinds() == ["opened"]
    a.store.away = False
    cluster.advance(1)
    a.sync()
    a.turn()
    assert kinds() == ["opened", "closed"]


def test_counts_that_could_not_be_written_are_written_later(cluster: World) -> None:
    make_service("midtrans", breaker={**QUICK, "volume_threshold": 99})
    a = cluster.worker("a")
    a.breaker("midtrans")
    a.store.readonly = True
    a.calls("midtrans", ok=4, failures=1)
    a.sync()
    assert not a.agent().away, "it can be read"
    assert a.get("midtrans").shared.completed == 0
    a.store.readonly = False
    a.sync()
    assert (a.get("midtrans").shared.ok, a.get("midtrans").shared.fail) == (4, 1)


def test_a_crossing_that_cannot_be_written_opens_here_and_later_for_all(cluster: World) -> None:
    make_service("midtrans", breaker=QUICK)
    a = cluster.worker("a")
    a.breaker("midtrans")
    a.store.readonly = True
    a.calls("midtrans", failures=5)
    a.sync()
    assert a.breaker("midtrans").state() == "OPEN"
    a.store.readonly = False
    a.sync()
    assert "opened" in kinds()
    assert snapshot("midtrans").state == "OPEN"


def test_overrides_end_on_time_while_the_database_is_away(cluster: World, lead: Actor) -> None:
    make_service("midtrans", breaker=QUICK)
    make_service("smtp", breaker=QUICK)
    a = cluster.worker("a")
    for name in ("midtrans", "smtp"):
        a.breaker(name)
    force_open(service="midtrans", actor=lead, reason="x", expires_in=60)
    force_closed(service="smtp", actor=lead, reason="x", expires_in=60)
    a.sync()
    a.store.away = True
    cluster.advance(59)
    a.sync()
    assert a.breaker("midtrans").state() == "FORCED_OPEN"
    assert a.breaker("smtp").state() == "FORCED_CLOSED"
    cluster.advance(2)
    assert a.breaker("midtrans").state() == "HALF_OPEN"
    assert a.breaker("smtp").state() == "CLOSED"


def test_a_worker_that_starts_without_a_database_works_on_local_counts(cluster: World) -> None:
    make_service("midtrans", breaker=QUICK)
    a = cluster.worker("a")
    a.store.away = True
    assert a.calls("midtrans", ok=3) == 3
    a.store.away = False
    a.sync()
    assert a.get("midtrans").rule.reset == 5
    assert a.calls("midtrans", ok=1) == 1


# --- scope: local -----------------------------------------------------------------------------
LOCAL = {**QUICK, "scope": "local"}


def test_local_scope_never_needs_the_database(cluster: World) -> None:
    make_service("database", breaker=LOCAL)
    a, b = cluster.worker("a"), cluster.worker("b")
    for worker in (a, b):
        worker.store.away = True
    assert a.calls("database", failures=20) == 10, "the built-in policy: volume 10"
    assert a.breaker("database").state() == "OPEN"
    assert b.calls("database", ok=3) == 3
    cluster.advance(10.1)
    assert a.breaker("database").state() == "HALF_OPEN"
    first = a.breaker("database").reserve(5)
    assert first.count == 1
    assert a.breaker("database").reserve(5).count == 0
    first.permit.failure(0.1)
    assert a.breaker("database").retry_after() == pytest.approx(20)
    cluster.advance(20.1)
    assert a.calls("database", ok=2) == 2
    assert a.breaker("database").state() == "CLOSED"


def test_local_scope_never_opens_for_others_and_reports_afterwards(cluster: World) -> None:
    make_service("database", breaker=LOCAL)
    workers = [cluster.worker(name) for name in "abc"]
    for worker in workers:
        worker.breaker("database")
    for worker in workers[:2]:
        worker.calls("database", failures=5)
        worker.sync()
    workers[2].sync()
    assert [worker.breaker("database").state() for worker in workers] == ["OPEN", "OPEN", "CLOSED"]
    found = snapshot("database")
    assert found.local_open == ("a", "b")
    assert found.state == "OPEN", "as most of the processes have decided"
    assert kinds() == ["locally_opened", "locally_opened"]


def test_local_scope_forced_open_ends_in_a_probe_of_each_process(cluster: World, lead: Actor) -> None:
    make_service("database", breaker=LOCAL)
    a, b = cluster.worker("a"), cluster.worker("b")
    for worker in (a, b):
        worker.breaker("database")
    force_open(service="database", actor=lead, reason="x", expires_in=60)
    cluster.sync()
    a.store.away = True
    cluster.advance(61)
    assert a.breaker("database").state() == "HALF_OPEN"
    b.sync()
    for worker in (a, b):
        assert worker.calls("database", ok=2) == 2
        assert worker.breaker("database").state() == "CLOSED"
    b.sync()
    assert SharedBreaker.objects.get().state == 0


# --- restored, removed ------------------------------------------------------------------------
def test_an_epoch_that_goes_back_is_believed(cluster: World) -> None:
    """After a failover that lost the last transactions any other epoch counts, not only a larger one."""
    make_service("midtrans", breaker=QUICK)
    a = cluster.worker("a")
    a.calls("midtrans", failures=5)
    a.sync()
    assert a.breaker("midtrans").state() == "OPEN"
    SharedBreaker.objects.update(epoch=1, state=0, probe_at=0, wait_ms=0)
    a.sync()
    assert a.breaker("midtrans").state() == "CLOSED"


def test_a_row_that_was_removed_is_made_again(cluster: World) -> None:
    make_service("midtrans", breaker=QUICK)
    a = cluster.worker("a")
    a.breaker("midtrans")
    SharedBreaker.objects.all().delete()
    a.sync()
    assert SharedBreaker.objects.get().name == "midtrans"
    a.calls("midtrans", failures=5)
    a.sync()
    assert snapshot("midtrans").state == "OPEN"


# --- D15, with threads ------------------------------------------------------------------------
class Switch:
    """Stores of which the network can be cut, for a runtime with its own thread."""

    def __init__(self) -> None:
        self.stores: list[FlakyStore] = []
        self.away = False

    def __call__(self) -> FlakyStore:
        store = FlakyStore("d15", away=self.away)
        self.stores.append(store)
        return store

    def cut(self, away: bool) -> None:
        self.away = away
        for store in self.stores:
            store.away = away


def test_d15_nobody_waits_for_a_database_that_is_away() -> None:
    make_service("midtrans", breaker={**QUICK, "reset_timeout": 0.3})
    switch = Switch()
    runtime = Runtime(switch)
    guard = Breaker("midtrans", runtime)
    try:
        _d15(switch, guard)
    finally:
        runtime.stop(5)
        assert connection.is_usable()


def _d15(switch: Switch, guard: Breaker) -> None:
    with guard:
        pass
    switch.cut(True)
    started = time.perf_counter()
    for _ in range(2000):
        with guard:
            pass
    assert time.perf_counter() - started < 0.5, "closed: no call waits"
    switch.cut(False)
    # The calls so far outweigh any failures: begin with an empty window.
    SharedBreaker.objects.update(epoch=F("epoch") + 1)
    _until(lambda: guard._local.shared.completed == 0 and guard._local.view.epoch == 2)
    for _ in range(5):
        with pytest.raises(OSError, match="down"), guard:
            raise OSError("down")
    _until(lambda: SharedBreaker.objects.get().state == 1)
    _until(lambda: guard.state() == "HALF_OPEN")
    switch.cut(True)
    waits = _ask_in_threads(guard, 8)
    assert max(waits) < 1, "whoever asks waits 250 ms at most, and a busy machine a little more"
    assert sum(wait >= 0.24 for wait in waits) <= 1, "everybody else is answered at once"
    assert guard.state() == "HALF_OPEN", "open holds"
    switch.cut(False)
    started = time.perf_counter()
    while guard.state() != "CLOSED":
        try:
            with guard:
                pass
        except BreakerOpen:
            time.sleep(0.01)
        assert time.perf_counter() - started < 3, "the probe runs soon after the database is back"


def _ask_in_threads(guard: Breaker, number: int) -> list[float]:
    waits: list[float] = []
    errors: list[Any] = []
    barrier = threading.Barrier(number)

    def ask() -> None:
        barrier.wait()
        started = time.perf_counter()
        try:
            with guard:
                errors.append("was let through")
        except BreakerOpen:
            waits.append(time.perf_counter() - started)
        except OperationalError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return waits


def _until(condition: Any, seconds: float = 5) -> None:
    started = time.perf_counter()
    while not condition():
        assert time.perf_counter() - started < seconds
        time.sleep(0.01)
