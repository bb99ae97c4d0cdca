"""The engine's database work where something goes wrong."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError
from django.utils import timezone

from apps.outbox.delivery import store as store_module
from apps.outbox.delivery.claim import Want
from apps.outbox.delivery.outcome import Settlement, judge
from apps.outbox.delivery.settle import settle as real_settle
from apps.outbox.delivery.store import Store
from apps.outbox.models import Attempt, DeliveryLane, Message, MessageStatus, MessageTemplate
from apps.outbox.templating.choosing import TemplateKey
from apps.services.policies import RetryPolicy
from tests.conftest import make_service
from tests.outbox.factories import failure, put, success, take

pytestmark = pytest.mark.django_db


def settlement(report: Any) -> Settlement:
    return Settlement(report, judge(report, RetryPolicy(), dead_letter_waiting_head=False, rng=random.Random(1)))


def test_one_row_that_cannot_be_written_does_not_take_its_siblings_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edge 15."""
    service = make_service()
    for _ in range(3):
        put(service)
    rows = take(service)
    bad = rows[1].id

    def refuse_bad(batch: list[Settlement], worker: str) -> Any:
        if any(item.report.row.id == bad and item.report.response for item in batch):
            raise DataError("cannot be stored")
        return real_settle(batch, worker)

    monkeypatch.setattr(store_module, "settle", refuse_bad)
    Store().settle([settlement(success(row, service)) for row in rows])
    assert set(Message.objects.values_list("status", flat=True)) == {MessageStatus.SENT}
    assert Attempt.objects.count() == 3


def test_410_pauses_the_service_for_everybody() -> None:
    """Edge 22."""
    service = make_service()
    put(service)
    (row,) = take(service)
    gone = failure(row, service, "HTTP 410 Gone", permanent=True, status_code=410, pauses_service=True)
    Store().settle([settlement(gone)])
    service.refresh_from_db()
    assert service.paused_at is not None
    assert "410" in service.paused_reason


def test_the_slots_of_a_dead_worker_come_back() -> None:
    """Edge 46: the in-flight limit counts rows, so a rescue frees it."""
    service = make_service()
    for _ in range(4):
        put(service)
    assert len(take(service, 4)) == 4
    Message.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    Store().sweep()
    assert Message.objects.filter(status=MessageStatus.SENDING).count() == 0


def test_a_new_service_gets_its_lane_and_a_broken_one_is_left_out() -> None:
    make_service("good")
    make_service("broken", breaker={"timeout": "soon"})
    configs = Store().lane_configs()
    assert set(configs) == {"good"}
    assert DeliveryLane.objects.filter(service_id="good").exists()


def test_claims_bring_the_named_templates_they_use() -> None:
    service = make_service()
    MessageTemplate.objects.create(name="receipt", version=1, body="old")
    MessageTemplate.objects.create(name="receipt", version=2, body="new")
    put(service, payload=None, template="receipt", template_version=1)
    put(service, payload=None, template="receipt")
    put(service, payload=None, template="missing")
    store = Store()
    store.lane_configs()
    want = Want(service=service.name, slots=9, lease_s=30, max_in_flight=9, max_per_second=None)
    claim, templates = store.claim(want)
    assert len(claim.rows) == 3
    assert templates[TemplateKey(None, "receipt", 1)].body == "old"
    assert templates[TemplateKey(None, "receipt")].body == "new"
    assert TemplateKey(None, "missing") not in templates
