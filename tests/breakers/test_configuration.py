"""Policies come from the service; a change reaches every process within one sync."""

from __future__ import annotations

import pytest

from apps.breakers.guard import Breaker
from apps.breakers.models import BreakerEvent, SharedBreaker
from apps.breakers.selectors import snapshot, snapshot_all
from apps.core.errors import NotFound
from apps.services.models import Service
from tests.breakers.world import World
from tests.conftest import make_service

pytestmark = pytest.mark.django_db(transaction=True)


def change(**policy: object) -> None:
    service = Service.objects.get(name="midtrans")
    service.breaker, service.config_version = {**service.breaker, **policy}, service.config_version + 1
    service.save()


def test_a_new_threshold_applies_after_one_sync(cluster: World) -> None:
    make_service("midtrans", breaker={"volume_threshold": 50})
    a, b = cluster.worker("a"), cluster.worker("b")
    for worker in (a, b):
        worker.breaker("midtrans")
    change(volume_threshold=3, rolling_count_buckets=5)
    cluster.sync()
    cluster.sync()
    assert a.get("midtrans").rule.volume == 3
    assert a.breaker("midtrans").timeout == 10
    a.calls("midtrans", failures=3)
    a.sync()
    b.sync()
    assert b.breaker("midtrans").state() == "OPEN"
    assert list(BreakerEvent.objects.order_by("id").values_list("kind", flat=True)) == ["configured", "opened"]


def test_new_settings_begin_a_new_round_of_probes(cluster: World) -> None:
    """Half a round under the old settings might never reach a verdict under the new ones."""
    make_service("midtrans", breaker={"volume_threshold": 1, "reset_timeout": 1, "half_open_permits": 2})
    a = cluster.worker("a")
    a.calls("midtrans", failures=1)
    a.sync()
    cluster.advance(1.5)
    a.probe("midtrans").permit.success(0.1)
    a.turn()
    change(half_open_permits=1)
    a.sync()
    a.sync()
    cluster.advance(0.5)
    probe = a.probe("midtrans")
    assert probe.count == 1
    probe.permit.success(0.1)
    a.turn()
    assert a.breaker("midtrans").state() == "CLOSED"


def test_a_policy_that_cannot_be_read_means_the_defaults(cluster: World) -> None:
    make_service("midtrans", breaker={"no_such_option": 1})
    a = cluster.worker("a")
    assert a.calls("midtrans", ok=1) == 1
    assert a.get("midtrans").rule.volume == 5


def test_an_unknown_service_has_no_breaker_until_it_is_made(cluster: World) -> None:
    a = cluster.worker("a")
    guard: Breaker = a.breaker("midtrans")
    assert guard.reserve(3).count == 0
    with pytest.raises(NotFound, match="There is no service 'midtrans', so it has no breaker"):
        guard.enter()
    make_service("midtrans")
    a.sync()
    assert guard.reserve(3).count == 3
    assert SharedBreaker.objects.count() == 1


def test_a_service_that_is_removed_is_unknown_again(cluster: World) -> None:
    make_service("midtrans")
    make_service("smtp")
    a = cluster.worker("a")
    for name in ("midtrans", "smtp"):
        assert a.calls(name, ok=1) == 1
    Service.objects.filter(name="midtrans").delete()
    a.sync()
    with pytest.raises(NotFound):
        a.breaker("midtrans").enter()
    assert a.calls("smtp", ok=1) == 1


def test_snapshots_show_breakers_that_were_never_used(db: None) -> None:
    make_service("midtrans")
    make_service("smtp", breaker={"timeout": 5})
    assert [(found.service, found.state, found.rate) for found in snapshot_all()] == [
        ("midtrans", "CLOSED", None),
        ("smtp", "CLOSED", None),
    ]
    assert snapshot("smtp").policy.timeout == 5
    with pytest.raises(NotFound):
        snapshot("nope")
