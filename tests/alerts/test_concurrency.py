"""Many posts and many processors at once, with real threads and connections."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client

from apps.alerts.episodes import State
from apps.alerts.escalating import escalate
from apps.alerts.models import AlertDelivery, AlertLog, DeliveryState, Episode, Notification
from apps.alerts.policies import save_routing
from apps.alerts.processing import process_all
from apps.alerts.services import create_source
from apps.alerts.settling import settle_all
from apps.alerts.work import acknowledge
from apps.core.actor import SYSTEM
from apps.core.errors import Conflict
from apps.outbox.models import Message
from tests.alerts.conftest import NOON, Sender, after, alert, body
from tests.conftest import make_service


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


@pytest.mark.django_db(transaction=True)
def test_four_sweepers_at_once_tell_each_step_once() -> None:
    make_service("slack", channel="slack", settings={"mode": "api", "channel": "#alerts"})
    document = {
        "targets": {"alerts": {"service": "slack", "recipient": "#alerts"}},
        "routes": [
            {
                "name": f"route-{number}",
                "match": {"route": str(number)} if number < 30 else {},
                "steps": [{"after": 0, "notify": ["alerts"]}, {"after": 60, "notify": ["alerts"]}],
            }
            for number in range(31)
        ],
    }
    save_routing(document=document, actor=SYSTEM, reason="test")
    made = create_source(name="eu1", actor=SYSTEM)
    sender = Sender(made.source, made.token)
    sender.tell(body(*[alert(f"A{n}", labels={"route": str(n % 30)}) for n in range(120)]), NOON)

    def sweep(number: int) -> None:
        try:
            for second in range(0, 90, 10):
                escalate(after(seconds=second + number))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        for sweeper in [pool.submit(sweep, number) for number in range(4)]:
            sweeper.result()
    escalate(after(seconds=120))
    notes = Notification.objects.values_list("escalation__episode__name", "step")
    assert sorted(notes) == sorted((f"A{n}", step) for n in range(120) for step in (0, 1))
    assert Message.objects.count() == 240


@pytest.mark.django_db(transaction=True)
def test_acknowledgements_race_the_sweep_and_the_end() -> None:
    """Each step is taken or let go, never both, and what is acknowledged too late reopens nothing."""
    make_service("slack", channel="slack", settings={"mode": "api", "channel": "#alerts"})
    steps = [{"after": 0, "notify": ["alerts"]}, {"after": 600, "notify": ["alerts"], "unless": "acknowledged"}]
    names = [f"A{n}" for n in range(40)]
    routes = [{"name": name, "match": {"alertname": name}, "steps": steps} for name in names]
    document = {
        "targets": {"alerts": {"service": "slack", "recipient": "#alerts"}},
        "routes": [*routes, {"name": "rest", "steps": steps}],
    }
    save_routing(document=document, actor=SYSTEM, reason="test")
    made = create_source(name="eu1", actor=SYSTEM)
    sender = Sender(made.source, made.token)
    sender.tell(body(*map(alert, names)), NOON)
    escalate(NOON)
    over = [alert(name, status="resolved", ends=after(minutes=1)) for name in names[30:]]
    sender.tell(body(*over), after(minutes=1))
    ids = list(Episode.objects.order_by("pk").values_list("pk", flat=True))
    conflicts: list[int] = []

    def work(number: int) -> None:
        try:
            if number % 3 == 0:
                escalate(after(seconds=600))
            elif number % 3 == 1:
                settle_all(after(minutes=6))
            else:
                for episode in ids[number % 5 :: 5]:
                    _acknowledged(episode, conflicts)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        for job in [pool.submit(work, number) for number in range(15)]:
            job.result()
    escalate(after(seconds=601))
    second = Notification.objects.filter(kind="page", step=1)
    assert sorted(second.values_list("escalation__episode__name", flat=True)) == sorted(names[:30])
    for note in second.select_related("escalation__episode"):
        assert (note.outcome == "queued") == (note.message_id is not None)
        assert note.escalation.episode.acknowledged_at is not None
    assert Message.objects.filter(json__contains="step 2 of 2").count() == second.filter(outcome="queued").count()
    assert not Episode.objects.filter(name__in=names[30:]).exclude(state=State.RESOLVED).exists()
    assert Episode.objects.filter(acknowledged_at__isnull=False).count() + len(conflicts) == 40


def _acknowledged(episode: int, conflicts: list[int]) -> None:
    try:
        acknowledge(episode_id=episode, actor=SYSTEM)
    except Conflict:
        conflicts.append(episode)
