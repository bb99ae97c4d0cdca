"""What operators do to shared breakers, and what clocks do to them."""

from __future__ import annotations

from typing import Any

import pytest

from apps.breakers import services
from apps.breakers.models import ProbeSlot
from apps.breakers.selectors import snapshot
from apps.core.actor import Actor
from apps.core.errors import Conflict
from tests.breakers.test_cluster import kinds, open_for_all, service, states
from tests.breakers.world import World

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = {"volume_threshold": 5, "reset_timeout": 5, "timeout": 2, "lease": 8, "ramp_seconds": 0}


# --- operators --------------------------------------------------------------------------------
def force(what: str, lead: Actor, seconds: float, **more: Any) -> None:
    services.act(service="midtrans", action=what, actor=lead, reason="maintenance", expires_in=seconds, **more)


def as_of_now(world: World) -> None:
    """Operators use the real clock of the database, so the workers must, too."""
    assert world.now == 50_000.0
    assert world.database_ahead == 0.0


def test_d10_forced_open_ends_in_a_probe_never_in_closed(cluster: World, lead: Actor) -> None:
    service()
    a, b = cluster.worker("a"), cluster.worker("b")
    for worker in (a, b):
        worker.breaker("midtrans")
    as_of_now(cluster)
    force("force_open", lead, 60)
    cluster.sync()
    assert states(cluster) == ["FORCED_OPEN", "FORCED_OPEN"]
    assert a.breaker("midtrans").retry_after() == pytest.approx(60, abs=2)
    assert a.calls("midtrans", ok=3) == 0
    cluster.advance(61)
    # Without any sync: the deadline is known.
    assert states(cluster) == ["HALF_OPEN", "HALF_OPEN"]
    a.sync()
    assert kinds() == ["forced_open", "override_ended"]
    cluster.advance(0.4)
    b.sync()
    probe = a.probe("midtrans")
    assert probe.count == 1
    assert b.probe("midtrans").count == 0
    probe.permit.success(0.1)
    a.turn()
    assert kinds() == ["forced_open", "override_ended", "closed"]


def test_d11_a_stale_page_changes_nothing(cluster: World, lead: Actor) -> None:
    service()
    seen = snapshot("midtrans").epoch or 1
    force("force_open", lead, 60, seen_epoch=seen)
    with pytest.raises(Conflict, match="has changed since you looked: it is FORCED_OPEN now") as refused:
        force("force_closed", lead, 60, seen_epoch=seen)
    assert refused.value.detail["epoch"] == seen + 1
    assert snapshot("midtrans").state == "FORCED_OPEN"
    assert kinds() == ["forced_open"]


def test_d12_forced_closed_refuses_to_open_until_it_ends(cluster: World, lead: Actor) -> None:
    service()
    a = cluster.worker("a")
    a.breaker("midtrans")
    force("force_closed", lead, 60)
    a.sync()
    assert a.calls("midtrans", failures=20) == 20
    a.sync()
    assert a.breaker("midtrans").state() == "FORCED_CLOSED"
    assert kinds() == ["forced_closed"]
    assert a.get("midtrans").shared.fail == 20
    cluster.advance(61)
    assert a.breaker("midtrans").state() == "CLOSED"
    a.sync()
    assert a.get("midtrans").shared.fail == 0, "what was counted meanwhile does not count"
    assert a.calls("midtrans", failures=5) == 5
    a.sync()
    assert kinds() == ["forced_closed", "override_ended", "opened"]


def test_reset_reaches_everybody_and_drops_what_was_in_flight(cluster: World, lead: Actor) -> None:
    service()
    a, b = cluster.worker("a"), cluster.worker("b")
    b.breaker("midtrans")
    late = b.breaker("midtrans").reserve(9)
    a.calls("midtrans", failures=5)
    cluster.sync()
    cluster.sync()
    assert states(cluster) == ["OPEN", "OPEN"]
    services.reset(service="midtrans", actor=lead, reason="fixed")
    cluster.sync()
    assert states(cluster) == ["CLOSED", "CLOSED"]
    for _ in range(9):
        late.permit.failure(0.1)
    b.sync()
    assert states(cluster) == ["CLOSED", "CLOSED"]
    assert a.get("midtrans").shared.failures == 0


def test_an_operator_may_have_it_tested_at_once(cluster: World, lead: Actor) -> None:
    service(reset_timeout=300)
    a = cluster.worker("a")
    a.calls("midtrans", failures=5)
    a.sync()
    assert a.probe("midtrans").count == 0
    services.probe_now(service="midtrans", actor=lead, reason="they say it works")
    a.sync()
    cluster.advance(0.3)
    assert a.probe("midtrans").count == 1


# --- clocks -----------------------------------------------------------------------------------
def test_d13_the_database_clock_steps_back_while_open(cluster: World) -> None:
    service()
    a = cluster.worker("a")
    open_for_all(cluster, a)
    cluster.step_database_clock(-3600)
    a.sync()
    cluster.advance(0.3)
    assert a.breaker("midtrans").state() == "HALF_OPEN"
    assert a.probe("midtrans").count == 1


def test_d14_the_database_clock_steps_back_while_a_probe_runs(cluster: World) -> None:
    service()
    a, b = cluster.worker("a"), cluster.worker("b")
    open_for_all(cluster, a, b)
    cluster.advance(5.3)
    assert a.probe("midtrans").count == 1
    assert b.probe("midtrans").count == 0
    cluster.step_database_clock(-3600)
    cluster.advance(0.4)
    assert b.probe("midtrans").count == 1
    assert ProbeSlot.objects.count() == 1


def test_counts_follow_the_database_clock_when_it_jumps(cluster: World) -> None:
    service(volume_threshold=99)
    a = cluster.worker("a")
    a.calls("midtrans", ok=3)
    a.sync()
    for step in (86_400, -90_000):
        cluster.step_database_clock(step)
        a.sync()
        a.calls("midtrans", ok=2)
        a.sync()
        assert a.get("midtrans").shared.ok == 2
