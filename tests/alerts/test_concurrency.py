"""Many posts and many processors at once, with real threads and connections."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client

from apps.alerts.models import AlertDelivery, AlertLog, DeliveryState, Episode
from apps.alerts.processing import process_all
from apps.alerts.services import create_source
from apps.core.actor import SYSTEM
from tests.alerts.conftest import alert, body


@pytest.mark.django_db(transaction=True)
def test_a_hundred_posts_and_four_processors_at_once() -> None:
    token = create_source(name="eu1", actor=SYSTEM).token
    orders = [[f"A{n}" for n in range(20)], [f"A{n}" for n in reversed(range(20))]]

    def post(number: int) -> int:
        try:
            content = body(*[alert(name) for name in orders[number % 2]])
            headers = {"Authorization": f"Bearer {token}"}
            answer = Client().post(
                "/webhooks/alertmanager", data=content, content_type="application/json", headers=headers
            )
            return answer.status_code
        finally:
            connection.close()

    def work(_: int) -> None:
        try:
            for _ in range(20):
                process_all()
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as pool:
        workers = [pool.submit(work, n) for n in range(4)]
        codes = list(pool.map(post, range(100)))
        for worker in workers:
            worker.result()
    while process_all():
        pass
    assert set(codes) == {200}
    assert AlertDelivery.objects.filter(state=DeliveryState.PROCESSED).count() == 100
    assert AlertLog.objects.count() == 2000
    assert Episode.objects.count() == 20
