"""What was counted is kept in buckets of 10 s: exact with several workers, written seldom, let go after two weeks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.breakers.history import CELLS_KEPT, HISTORY_MS, KEEP_MS, Ledger, prune_history
from apps.breakers.models import HistoryBucket, SharedBreaker
from apps.breakers.selectors import database_ms
from apps.breakers.window import Counts
from tests.breakers.world import World, world
from tests.conftest import make_service

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def here() -> Iterator[World]:
    make_service("midtrans", breaker={"volume_threshold": 1000})
    with world() as made:
        yield made


def kept() -> dict[str, int]:
    rows = HistoryBucket.objects.all()
    return {name: sum(getattr(row, name) for row in rows) for name in ("ok", "fail", "timeout", "slow", "rejected")}


def test_workers_add_to_the_same_rows(here: World) -> None:
    first, second = here.worker("a"), here.worker("b")
    for _ in range(6):
        first.calls("midtrans", ok=3, failures=1)
        second.calls("midtrans", ok=2)
        here.advance(1.0)
        here.sync()
    here.advance(5.0)
    here.sync()
    assert kept() == {"ok": 30, "fail": 6, "timeout": 0, "slow": 0, "rejected": 0}
    # Six seconds touch at most two buckets of ten, whoever counted.
    assert HistoryBucket.objects.count() <= 2
    assert all(row.at % HISTORY_MS == 0 for row in HistoryBucket.objects.all())


def test_it_is_written_every_few_seconds_not_with_every_flush(here: World) -> None:
    worker = here.worker("a")
    worker.calls("midtrans", ok=1)
    here.sync()
    assert kept()["ok"] == 1
    for _ in range(4):
        worker.calls("midtrans", ok=1)
        here.advance(1.0)
        here.sync()
    assert kept()["ok"] == 1
    here.advance(1.0)
    here.sync()
    assert kept()["ok"] == 5


def test_what_could_not_be_written_is_written_later(here: World) -> None:
    worker = here.worker("a")
    worker.calls("midtrans", ok=4)
    worker.store.readonly = True
    here.sync()
    here.advance(6.0)
    here.sync()
    assert kept()["ok"] == 0
    worker.store.readonly = False
    here.sync()
    here.advance(6.0)
    here.sync()
    assert kept()["ok"] == 4


def test_a_worker_that_ends_writes_the_rest(here: World) -> None:
    worker = here.worker("a")
    worker.calls("midtrans", ok=1)
    here.sync()
    worker.calls("midtrans", ok=2)
    worker.agent()._say_goodbye(worker.store)
    assert kept()["ok"] == 3


def test_a_ledger_that_nobody_reads_stays_small() -> None:
    ledger = Ledger()
    for number in range(CELLS_KEPT + 5):
        ledger.add(1, number * HISTORY_MS, Counts(ok=1))
    assert len(ledger.cells) == CELLS_KEPT
    assert min(at for _, at in ledger.cells) == 5 * HISTORY_MS


def test_only_what_is_older_than_two_weeks_goes() -> None:
    breaker = SharedBreaker.objects.create(name="smtp")
    now = database_ms() // HISTORY_MS * HISTORY_MS
    rows = [HistoryBucket(breaker=breaker, at=now - KEEP_MS + step * HISTORY_MS, ok=1) for step in range(-25, 5)]
    HistoryBucket.objects.bulk_create(rows)
    assert prune_history(now, batch=10) == 25
    assert HistoryBucket.objects.count() == 5
    assert prune_history(now, batch=10) == 0
