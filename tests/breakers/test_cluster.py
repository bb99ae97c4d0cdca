"""What several processes decide together, worker by worker. The same with real processes: tests/chaos."""

from __future__ import annotations

from typing import Any

import pytest

from apps.breakers.machine import Kind
from apps.breakers.models import BreakerEvent, BreakerWorker, SharedBreaker, WindowBucket
from apps.breakers.selectors import history, snapshot
from apps.services.models import Service
from tests.breakers.world import Worker, World
from tests.conftest import make_service

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = {"volume_threshold": 5, "reset_timeout": 5, "timeout": 2, "lease": 8, "ramp_seconds": 0}


def service(**policy: Any) -> Service:
    return make_service("midtrans", breaker={**QUICK, **policy})


def kinds() -> list[str]:
    return list(BreakerEvent.objects.order_by("id").values_list("kind", flat=True))


def states(world: World) -> list[str]:
    return [worker.breaker("midtrans").state() for worker in world.workers]


def open_for_all(world: World, *workers: Worker) -> None:
    workers[0].calls("midtrans", failures=5)
    workers[0].sync()
    world.advance(1)
    world.sync()
    assert set(states(world)) == {"OPEN"}


# --- opening ----------------------------------------------------------------------------------
def test_d07_the_cluster_opens_although_no_worker_reached_the_volume(cluster: World) -> None:
    service(volume_threshold=10)
    a, b = cluster.worker("a"), cluster.worker("b")
    for worker in (a, b):
        assert worker.calls("midtrans", ok=2, failures=3) == 5
    cluster.sync()
    assert states(cluster) == ["CLOSED", "OPEN"]
    a.sync()
    assert states(cluster) == ["OPEN", "OPEN"]
    assert kinds() == ["opened"]


def test_d06_one_of_many_that_see_the_crossing_opens(cluster: World) -> None:
    """With real processes: test_d06_sixteen_processes_crossing_together_give_one_transition."""
    service()
    workers = [cluster.worker(f"w{n}") for n in range(4)]
    for worker in workers:
        worker.calls("midtrans", failures=5)
    epoch = SharedBreaker.objects.get().epoch
    cluster.sync()
    cluster.sync()
    assert SharedBreaker.objects.get().epoch == epoch + 1
    assert kinds() == ["opened"]
    assert [len(worker.announced) for worker in workers] == [1, 0, 0, 0]


def test_d08_one_bad_worker_opens_only_for_itself(cluster: World) -> None:
    service(volume_threshold=10)
    good = [cluster.worker(name) for name in "bcd"]
    for worker in good:
        worker.calls("midtrans", ok=25)
    bad = cluster.worker("a")
    for worker in good:
        worker.sync()
    bad.breaker("midtrans")
    bad.calls("midtrans", failures=25)
    cluster.sync()
    assert bad.breaker("midtrans").state() == "OPEN"
    assert [worker.breaker("midtrans").state() for worker in good] == ["CLOSED"] * 3
    found = snapshot("midtrans")
    assert (found.state, found.local_open, found.workers) == ("CLOSED", ("a",), 4)
    assert found.failing_workers == ("a",)
    assert kinds() == ["locally_opened"]
    assert history("midtrans")[0].text.startswith("only for a · 10 of 10 calls failed")
    # It tests for itself, and closes for itself.
    cluster.advance(5.5)
    assert bad.breaker("midtrans").state() == "HALF_OPEN"
    assert bad.calls("midtrans", ok=1) == 1
    assert bad.breaker("midtrans").state() == "CLOSED"
    cluster.sync()
    assert kinds() == ["locally_opened", "locally_closed"]
    assert snapshot("midtrans").local_open == ()


def test_a_crossing_closes_the_gate_before_the_database_is_asked(cluster: World) -> None:
    service()
    a = cluster.worker("a")
    a.breaker("midtrans")
    before = a.store.statements
    assert a.calls("midtrans", failures=9) == 5
    assert a.breaker("midtrans").state() == "OPEN"
    assert a.breaker("midtrans").retry_after() == 0.25
    assert a.store.statements == before


def test_a_success_of_somebody_else_never_opens(cluster: World) -> None:
    service(volume_threshold=6)
    a, b = cluster.worker("a"), cluster.worker("b")
    a.calls("midtrans", failures=5)
    a.sync()
    b.calls("midtrans", ok=1)
    cluster.sync()
    cluster.sync()
    assert states(cluster) == ["CLOSED", "CLOSED"]
    b.calls("midtrans", failures=1)
    assert b.breaker("midtrans").state() == "OPEN", "its own failure and what it knows of the others are enough"
    cluster.sync()
    cluster.sync()
    assert states(cluster) == ["OPEN", "OPEN"]


def test_counts_leave_the_shared_window_when_they_are_old(cluster: World) -> None:
    service(volume_threshold=99)
    a = cluster.worker("a")
    a.calls("midtrans", ok=3, failures=2)
    a.sync()
    assert (a.get("midtrans").shared.ok, a.get("midtrans").shared.fail) == (3, 2)
    cluster.advance(11.5)
    a.sync()
    assert a.get("midtrans").shared.completed == 0
    for _ in range(30):
        a.calls("midtrans", ok=1)
        cluster.advance(1)
        a.sync()
    assert WindowBucket.objects.count() <= 10, "a ring: it never grows"
    assert 9 <= a.get("midtrans").shared.ok <= 11


def test_the_evidence_is_frozen(cluster: World) -> None:
    service(volume_threshold=6)
    a, b = cluster.worker("a"), cluster.worker("b")
    a.calls("midtrans", ok=1, failures=3, error_class="http_503")
    b.calls("midtrans", failures=2, error_class="timeout")
    cluster.sync()
    b.sync()
    event = BreakerEvent.objects.get()
    assert event.kind == Kind.OPENED
    assert event.actor == "b"
    assert event.detail["counts"] == {"ok": 1, "fail": 5, "timeout": 0, "slow": 0, "rejected": 0, "ignored": 0}
    assert event.detail["errors"] == [
        {"class": "http_503", "count": 3, "samples": ["42", "42", "42"]},
        {"class": "timeout", "count": 2, "samples": ["42", "42"]},
    ]
    assert [(w["worker"], w["ok"], w["fail"]) for w in event.detail["workers"]] == [("a", 1, 3), ("b", 0, 2)]
    assert snapshot("midtrans").evidence == event.detail
    assert history("midtrans")[0].text == (
        "5 of 6 calls failed in 10 s (threshold 50 %, volume 6) · HTTP 503 ×3, time-out ×2"
    )


def test_workers_say_which_epoch_they_act_upon(cluster: World) -> None:
    service()
    a, b = cluster.worker("a"), cluster.worker("b")
    cluster.advance(0)
    for worker in (a, b):
        worker.breaker("midtrans")
    a.calls("midtrans", failures=5)
    a.sync()
    found = snapshot("midtrans")
    assert (found.workers, found.agree) == (2, 1)
    assert [name for name, _ in found.behind] == ["b"]
    b.sync()
    assert snapshot("midtrans").agree == 2
    assert BreakerWorker.objects.get(worker="b").seen == {"midtrans": found.epoch}


# --- half-open --------------------------------------------------------------------------------
def test_d01_one_probe_until_it_settles(cluster: World) -> None:
    """With real processes: test_d01_d02_d03_never_more_probes_than_permits."""
    service()
    a, b = cluster.worker("a"), cluster.worker("b")
    open_for_all(cluster, a, b)
    assert a.probe("midtrans").count == 0
    cluster.advance(5.3)
    assert states(cluster) == ["HALF_OPEN", "HALF_OPEN"]
    probe = a.probe("midtrans")
    assert probe.count == 1
    assert b.probe("midtrans").count == 0
    assert a.probe("midtrans").count == 0
    probe.permit.success(0.1)
    a.turn()
    b.sync()
    assert states(cluster) == ["CLOSED", "CLOSED"]
    assert kinds() == ["opened", "closed"]
    assert history("midtrans")[0].text == "The probe succeeded: answered after 0.1 s, by a"


def test_d02_three_permits_two_needed(cluster: World) -> None:
    service(half_open_permits=3, success_threshold=2)
    workers = [cluster.worker(name) for name in "abcd"]
    open_for_all(cluster, *workers)
    cluster.advance(5.3)
    probes = [worker.probe("midtrans") for worker in workers]
    assert [probe.count for probe in probes] == [1, 1, 1, 0]
    probes[0].permit.failure(0.1)
    workers[0].turn()
    assert SharedBreaker.objects.get().state == 1
    for n in (1, 2):
        probes[n].permit.success(0.1)
        workers[n].turn()
    assert kinds() == ["opened", "closed"]


def test_the_second_failure_of_three_decides_at_once(cluster: World) -> None:
    service(half_open_permits=3, success_threshold=2, lease=30)
    workers = [cluster.worker(name) for name in "abc"]
    open_for_all(cluster, *workers)
    cluster.advance(5.3)
    probes = [worker.probe("midtrans") for worker in workers]
    for n in (0, 1):
        probes[n].permit.failure(0.1)
        workers[n].turn()
    assert kinds() == ["opened", "reopened"]
    # The third still runs: in the next round it keeps its slot, so that there are never more than three.
    cluster.sync()
    cluster.advance(10.5)
    assert [worker.probe("midtrans").count for worker in workers] == [1, 1, 0]
    probes[2].permit.success(0.1)
    workers[2].turn()
    assert kinds() == ["opened", "reopened"], "the result of an earlier round decides nothing"
    cluster.advance(0.5)
    assert workers[2].probe("midtrans").count == 1


def test_a_failed_probe_reopens_and_waits_longer(cluster: World) -> None:
    service(reset_multiplier=2, max_reset_timeout=15)
    a = cluster.worker("a")
    open_for_all(cluster, a)
    waits = []
    for _ in range(3):
        cluster.advance(snapshot_wait() + 0.4)
        probe = a.probe("midtrans")
        probe.permit.failure(4.1, error_class="http_503", sample="77")
        a.turn()
        waits.append(snapshot_wait())
    assert waits == [10, 15, 15]
    found = snapshot("midtrans")
    assert found.reopen_streak == 3
    text = history("midtrans")[0].text
    assert text == "The probe failed: HTTP 503 after 4 s, by a · wait 15 s · re-opened 3 times in a row"


def snapshot_wait() -> float:
    return SharedBreaker.objects.get().wait_ms / 1000


def test_an_interrupted_probe_gives_its_slot_back(cluster: World) -> None:
    service()
    a, b = cluster.worker("a"), cluster.worker("b")
    open_for_all(cluster, a, b)
    cluster.advance(5.3)
    a.probe("midtrans").permit.ignore()
    a.turn()
    probe = b.probe("midtrans")
    assert probe.count == 1
    probe.release(1)
    b.turn()
    cluster.advance(0.5)
    assert a.probe("midtrans").count == 1


def test_a_lease_that_nobody_picks_up_goes_back(cluster: World) -> None:
    service()
    a, b = cluster.worker("a"), cluster.worker("b")
    open_for_all(cluster, a, b)
    cluster.advance(5.3)
    a.breaker("midtrans").reserve(1)
    a.turn()
    assert a.get("midtrans").lease is not None
    cluster.advance(1.5)
    a.turn()
    assert b.probe("midtrans").count == 1


def test_d05_a_lost_probe_frees_its_slot_exactly_when_its_lease_ends(cluster: World) -> None:
    service(lease=8)
    a, b = cluster.worker("a"), cluster.worker("b")
    open_for_all(cluster, a, b)
    cluster.advance(5.3)
    lost = a.probe("midtrans")
    cluster.advance(7.9)
    b.sync()
    assert b.probe("midtrans").count == 0
    cluster.advance(0.5)
    found = b.probe("midtrans")
    assert found.count == 1
    # And the outcome of the first no longer counts.
    lost.permit.success(8.0)
    a.turn()
    assert kinds() == ["opened"]
    found.permit.success(0.1)
    b.turn()
    assert kinds() == ["opened", "closed"]


def test_a_slow_probe_does_not_close(cluster: World) -> None:
    service(slow_call_duration=1, slow_call_rate_percentage=80)
    a = cluster.worker("a")
    open_for_all(cluster, a)
    cluster.advance(5.3)
    a.probe("midtrans").permit.success(1.5)
    a.turn()
    assert kinds() == ["opened", "reopened"]


def test_slow_calls_open(cluster: World) -> None:
    service(slow_call_duration=1, slow_call_rate_percentage=80)
    a = cluster.worker("a")
    a.calls("midtrans", ok=5, seconds=1.5)
    a.sync()
    assert kinds() == ["opened"]
    assert history("midtrans")[0].text.endswith("5 took longer than 1 s")


def test_after_closing_the_ramp(cluster: World) -> None:
    service(ramp_seconds=10)
    a = cluster.worker("a")
    open_for_all(cluster, a)
    cluster.advance(5.3)
    a.probe("midtrans").permit.success(0.1)
    a.turn()
    guard = a.breaker("midtrans")
    first = guard.reserve(100)
    assert first.count == 5
    assert guard.reserve(95).count == 0, "5 % of what may be in flight, not of every question"
    first.permit.success(0.1)
    assert guard.reserve(96).count == 1
    cluster.advance(5.1)
    assert guard.reserve(95).count == 20
    cluster.advance(5)
    assert guard.reserve(75).count == 75


def test_the_ramp_lets_at_least_one_through(cluster: World) -> None:
    service(ramp_seconds=10)
    a = cluster.worker("a")
    open_for_all(cluster, a)
    cluster.advance(5.3)
    a.probe("midtrans").permit.success(0.1)
    a.turn()
    assert a.breaker("midtrans").reserve(3).count == 1


def test_lease_requests_never_put_off_the_sync(cluster: World) -> None:
    """A stream of requests starved the sync of the prototype: seven of eight processes never saw the recovery."""
    service()
    a, b = cluster.worker("a"), cluster.worker("b")
    open_for_all(cluster, a, b)
    cluster.advance(5.3)
    held = a.probe("midtrans")
    syncs = b.agent().syncs
    for _ in range(100):
        b.breaker("midtrans").reserve(1)
        b.turn()
        cluster.advance(0.03)
    assert b.agent().syncs - syncs >= 3
    held.permit.success(0.1)
    a.turn()
    for _ in range(40):
        b.breaker("midtrans").reserve(1)
        b.turn()
        cluster.advance(0.03)
    assert b.breaker("midtrans").state() == "CLOSED"
