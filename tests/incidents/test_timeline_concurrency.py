"""Two collectors at once, over real transactions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection

from apps.core.db import database_now
from apps.incidents.models import Incident, StatusUpdate, TimelineEntry
from apps.incidents.timeline import collect
from apps.outbox.models import DeliveryMinute
from tests.incidents.conftest import service
from tests.incidents.timelines import incident, minute


def _together(*what: Callable[[], object]) -> list[object]:
    ready = Barrier(len(what))

    def run(one: Callable[[], object]) -> object:
        try:
            ready.wait(10)
            return one()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(what)) as pool:
        return [done.result(60) for done in [pool.submit(run, one) for one in what]]


@pytest.mark.django_db(transaction=True)
def test_two_collectors_make_each_line_once() -> None:
    service()
    now = database_now()
    made = incident(now - timedelta(minutes=60), "midtrans")
    for number in range(50):
        minute("midtrans", now - timedelta(minutes=number + 1), 3)
        StatusUpdate.objects.create(incident=made, at=now, state="investigating", kind="said", text="x", actor="ana")

    def collecting() -> int:
        return collect(Incident.objects.get(pk=made.pk), now)

    assert sum(map(int, map(str, _together(*[collecting] * 4)))) == 100
    assert TimelineEntry.objects.filter(incident=made).count() == 100


@pytest.mark.django_db(transaction=True)
def test_a_collector_that_read_earlier_does_not_write_over_one_that_read_later() -> None:
    """Each source is read while the incident's row is held, so what is written last was read last."""
    service()
    now = database_now()
    made = incident(now - timedelta(minutes=10), "midtrans")
    minute("midtrans", now, 0)

    def failing() -> None:
        for count in range(1, 40):
            DeliveryMinute.objects.update(failed=count)

    def collecting() -> None:
        for _again in range(10):
            collect(Incident.objects.get(pk=made.pk), now)

    _together(failing, collecting, collecting)
    collect(Incident.objects.get(pk=made.pk), now)
    assert TimelineEntry.objects.get(incident=made).detail["count"] == 39
