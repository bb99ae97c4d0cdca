"""How much the door of alerts takes, on the running stack: gunicorn in front, a control worker behind.

The figures are printed. A machine that is busy with other things is slow, not wrong: of three posts the quickest
answer counts, and how soon all is read is printed only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django.db import connection

from apps.alerts.models import AlertDelivery, AlertLog, AlertSource, DeliveryState, Episode
from apps.alerts.services import create_source
from apps.core.actor import SYSTEM
from opsportal.schedule import sync_schedule
from tests.alerts.conftest import alert, body
from tests.chaos.test_escalation import CELERY, WORKER
from tests.chaos.test_escalation import PATIENCE as PATIENCE_S
from tests.processes import Stack, stack, wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(400)]

ANSWER_S = 1.0


class Door:
    """The webhook of a running portal."""

    def __init__(self, running: Stack) -> None:
        self.url = f"http://127.0.0.1:{running.start_web()}"
        self.headers = {"Authorization": f"Bearer {create_source(name='real', actor=SYSTEM).token}"}
        wait_for(self._answers, PATIENCE_S, "an answer of the web server")

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health/live", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def post(self, content: bytes) -> tuple[int, float]:
        """Status, and the seconds until the answer."""
        began = time.perf_counter()
        answer = requests.post(f"{self.url}/webhooks/alertmanager", data=content, headers=self.headers, timeout=120)
        return answer.status_code, time.perf_counter() - began


@pytest.fixture
def door() -> Iterator[Door]:
    with stack() as running:
        sync_schedule()
        running.start(*CELERY, "worker", "-Q", "control", *WORKER, log="control")
        running.start(*CELERY, "beat", "--pidfile=", log="beat")
        yield Door(running)


def read() -> bool:
    return not AlertDelivery.objects.filter(state=DeliveryState.STORED).exists()


def a_thousand(turn: int) -> bytes:
    text = {"annotations": {"summary": "x" * 200, "description": "y" * 300}}
    names = [(f"A{n}", {"instance": f"host-{turn}-{n}", "job": "node"}) for n in range(1000)]
    return body(*[alert(name, labels=labels, **text) for name, labels in names])


def test_a_thousand_alerts_are_answered_and_all_of_them_read(door: Door) -> None:
    """Three times other ones, so that each time a thousand episodes begin."""
    door.post(body(alert("Warm")))
    wait_for(read, PATIENCE_S, "the first post")
    answers = []
    for turn in range(3):
        content = a_thousand(turn)
        status, seconds = door.post(content)
        took = wait_for(read, PATIENCE_S, "all of them read", every=0.02)
        size = f"{len(content):,} bytes"
        print(f"{connection.vendor}: 1,000 alerts ({size}) answered in {seconds:.3f} s, read after {took:.2f} s")
        answers.append((status, seconds))
    assert {status for status, _ in answers} == {200}
    assert min(seconds for _, seconds in answers) < ANSWER_S
    assert Episode.objects.filter(source="real").count() == 3001
    assert AlertLog.objects.filter(source="real").count() == 3001


def test_25_megabytes_over_the_wire(door: Door) -> None:
    big = body(*[alert(f"B{n}", annotations={"summary": "z" * 60_000}) for n in range(430)])
    status, seconds = door.post(big)
    took = wait_for(read, PATIENCE_S, "it read", every=0.05)
    print(f"{connection.vendor}: {len(big):,} bytes answered in {seconds:.2f} s, read after {took:.2f} s")
    assert status == 200
    assert AlertDelivery.objects.get(source="real").size == len(big) > 25_000_000
    assert Episode.objects.filter(source="real").count() == 430


def test_a_hundred_posts_at_once(door: Door) -> None:
    """Of the same alerts in two orders, so that whoever locked them one by one would deadlock."""
    names = [f"C{n}" for n in range(30)]
    bodies = [body(*map(alert, names)), body(*map(alert, reversed(names)))]
    began = time.perf_counter()
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(door.post, [bodies[n % 2] for n in range(100)]))
    all_answered = time.perf_counter() - began
    wait_for(read, PATIENCE_S, "all of them read")
    slowest = max(seconds for _, seconds in answers)
    print(f"{connection.vendor}: 100 posts at once answered in {all_answered:.2f} s, the slowest in {slowest:.2f} s")
    assert {status for status, _ in answers} == {200}
    assert AlertDelivery.objects.filter(source="real", state=DeliveryState.PROCESSED, tries=0).count() == 100
    assert AlertLog.objects.filter(source="real").count() == 3000
    assert Episode.objects.filter(source="real").count() == 30
    assert AlertSource.objects.get(pk="real").quarantined == 0
