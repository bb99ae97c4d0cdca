"""Accepting does not wait for a broker that is away."""

from __future__ import annotations

import time

import pytest
from celery import Celery

from apps.outbox import nudge
from opsportal import celery as portal
from tests.api.conftest import ORDER_BODY, ApiClient
from tests.conftest import make_service


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_costs_no_time(client: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    make_service("midtrans")
    away = Celery("away", broker="redis://127.0.0.1:1/0", set_as_current=False)
    away.conf.broker_transport_options = portal.app.conf.broker_transport_options
    monkeypatch.setattr(nudge, "current_app", away)
    nudger = nudge.Nudger("outbox.deliver", "delivery")
    monkeypatch.setattr(nudge, "nudge_now", nudger)
    begun = time.monotonic()
    for _ in range(3):
        assert client.post("/api/v1/messages", ORDER_BODY).status_code == 202
    assert time.monotonic() - begun < 2
    assert nudger._not_before > time.monotonic() + 2, "it was tried, and is left alone for a while"
