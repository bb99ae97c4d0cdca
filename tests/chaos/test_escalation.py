"""Escalation by violence: real processes are killed, starved of beats, of the broker and of the right time.

Each time: no step lost, none doubled, lateness written down. What was decided is read from alert_notification, what
arrived from a server that plays Slack and PagerDuty. Minutes go by in two ways, and each test says which: steps of a
few seconds, or the times of the rows moved into the past, as if the database's clock had gone on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
import requests
from django.db import transaction
from django.db.models import F

from apps.alerts.models import AlertDelivery, DeliveryState, EngineHeartbeat, Episode, Escalation, Notification
from apps.alerts.policies import save_routing
from apps.alerts.services import create_source
from apps.alerts.work import acknowledge
from apps.core.actor import SYSTEM
from apps.core.db import database_now
from apps.outbox.models import Message
from opsportal.schedule import sync_schedule
from tests.alerts.conftest import alert, body
from tests.alerts.desk import Desk
from tests.processes import Stack, kill, stack, wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(400)]

WORKER: Final = ("-P", "threads", "-c", "2", "--without-gossip", "--without-mingle", "--without-heartbeat")
CELERY: Final = (sys.executable, "-m", "celery", "-A", "opsportal")
FAKETIME: Final = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
TARGETS: Final = ("alerts", "pagerduty")
# A machine that is busy with other things is slow, not wrong.
PATIENCE: Final = 150


@dataclass
class World:
    """The processes of a portal on the test's database, and the desk that is paged."""

    running: Stack
    desk: Desk
    token: str
    url: str = ""
    lives: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        """The web server, and these beside it while it is getting up."""
        self.url = f"http://127.0.0.1:{self.running.start_web()}"
        for name in names:
            getattr(self, name)()
        wait_for(self._answers, PATIENCE, "an answer of the web server")

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health/live", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def control(self, name: str = "control", **env: str) -> None:
        node = f"{name}-{time.monotonic_ns()}@%h"
        before, self.running.extra_env = self.running.extra_env, {**self.running.extra_env, **env}
        self.lives[name] = self.running.start(*CELERY, "worker", "-Q", "control", *WORKER, "-n", node, log=name)
        self.running.extra_env = before

    def beat(self) -> None:
        self.lives["beat"] = self.running.start(*CELERY, "beat", "--pidfile=", log="beat")

    def delivery(self) -> None:
        self.lives["delivery"] = self.running.start_delivery()

    def kill(self, name: str) -> None:
        kill(self.lives.pop(name))

    def post(self, *names: str) -> int:
        headers = {"Authorization": f"Bearer {self.token}"}
        content = body(*map(alert, names))
        return requests.post(f"{self.url}/webhooks/alertmanager", data=content, headers=headers, timeout=30).status_code

    def log_of(self, name: str) -> str:
        return self.running.log_of(name)[-3000:]


def routing(*afters: float, names: int = 1) -> None:
    """A route for each of so many names (and so no storms), each with steps after so many seconds."""
    steps = [{"after": int(after), "notify": list(TARGETS), "unless": "acknowledged"} for after in afters]
    routes = [{"name": f"r{n}", "match": {"alertname": f"A{n}"}, "steps": steps} for n in range(names)]
    document = {
        "targets": {"alerts": {"service": "slack", "recipient": "#alerts"}, "pagerduty": {"service": "pagerduty"}},
        "routes": [*routes, {"name": "rest", "steps": steps}],
    }
    save_routing(document=document, actor=SYSTEM, reason="test")


@pytest.fixture
def world() -> Iterator[World]:
    with Desk() as desk, stack(ALERT_NORMAL_S="300") as running:
        desk.services()
        sync_schedule()
        yield World(running, desk, create_source(name="real", actor=SYSTEM).token)


def time_goes_by(**span: float) -> None:
    """As if so much time had gone by on the database's clock: what was planned or seen lies further back."""
    past = timedelta(**span)
    Episode.objects.update(
        first_seen_at=F("first_seen_at") - past,
        last_fired_at=F("last_fired_at") - past,
        acknowledged_at=F("acknowledged_at") - past,
    )
    Escalation.objects.update(started_at=F("started_at") - past)
    Escalation.objects.filter(next_at__isnull=False).update(next_at=F("next_at") - past)


def taken(step: int) -> bool:
    return Notification.objects.filter(kind="page", step=step).count() >= 2 * Escalation.objects.count() > 0


def all_sent() -> bool:
    return Message.objects.exists() and not Message.objects.exclude(status="SENT").exists()


def each_once(world: World, names: list[str], steps: int, doubled: int = 0) -> None:
    """Every step of every alert to every target: decided once, sent once, arrived once (but for ``doubled`` at most,
    that were under way when their sender died)."""
    decided = Counter(
        Notification.objects.filter(kind="page").values_list("escalation__episode__name", "step", "target", "outcome")
    )
    assert decided == Counter(
        (name, step, target, "queued") for name in names for step in range(steps) for target in TARGETS
    )
    assert Message.objects.count() == len(names) * steps * len(TARGETS)
    arrived = Counter((said.about, said.service, said.step) for said in world.desk.heard if said.step)
    assert len(arrived) == len(names) * steps * len(TARGETS)
    assert sum(arrived.values()) - len(arrived) <= doubled


def in_order(world: World, names: list[str]) -> None:
    for name in names:
        for service in ("slack", "pagerduty"):
            steps = [step for about, who, step in world.desk.steps() if who == service and f"{name} " in about]
            assert steps == sorted(steps)


def lateness() -> dict[int, float]:
    """Seconds between when a step was due and when it was decided; the most for each step."""
    found: dict[int, float] = {}
    for step, planned, decided in Notification.objects.filter(kind="page").values_list(
        "step", "planned_at", "decided_at"
    ):
        found[step] = max(found.get(step, 0.0), (decided - planned).total_seconds())
    return found


def test_what_is_killed_between_commit_and_send_is_sent_once(world: World) -> None:
    """The sweep is killed after its commit and the sender in the middle of a request that was never answered."""
    names = [f"A{n}" for n in range(4)]
    routing(0, 5, names=4)
    world.start("control", "beat")
    assert world.post(*names) == 200
    wait_for(lambda: taken(0), PATIENCE, "the first step")
    world.kill("control")
    assert (world.desk.heard, Message.objects.filter(status="PENDING").count()) == ([], 8)
    gate = {"open": False}
    world.desk.script = lambda service: gate["open"] or time.sleep(30) or False
    world.delivery()
    wait_for(lambda: world.desk.began >= 4, PATIENCE, "requests that hang")
    world.kill("delivery")
    gate["open"] = True
    world.control()
    world.delivery()
    wait_for(lambda: taken(1) and all_sent(), PATIENCE, "the rest")
    each_once(world, names, steps=2)
    in_order(world, names)


def test_a_sweep_that_is_killed_at_any_moment_takes_each_step_once(world: World) -> None:
    """Two sweepers side by side, one of them killed with -9 again and again while steps fall due every second."""
    names = [f"A{n}" for n in range(6)]
    steps = 10
    routing(*[2 + 2 * n for n in range(steps)], names=6)
    for name in ("one", "two"):
        world.control(name)
    world.start("delivery", "beat")
    assert world.post(*names) == 200
    for turn in range(4):
        wait_for(lambda turn=turn: Notification.objects.count() > 12 * (2 * turn + 1), PATIENCE, f"part {turn}")
        world.kill("one")
        world.control("one")
    wait_for(lambda: taken(steps - 1) and all_sent(), PATIENCE, "the last step")
    each_once(world, names, steps)
    in_order(world, names)


@pytest.mark.parametrize("minutes", [20])
def test_a_beat_that_was_dead_for_20_minutes_costs_no_step(world: World, minutes: int) -> None:
    """Nothing sweeps meanwhile, and the times of the rows are moved: steps of 5 and 15 minutes fall due unseen."""
    names = ["A0", "A1"]
    routing(0, 300, 900, 3600, names=2)
    world.start("delivery", "control", "beat")
    assert world.post(*names) == 200
    wait_for(lambda: taken(0) and all_sent(), PATIENCE, "the first step")
    world.kill("beat")
    time.sleep(1)  # what beat had sent is done
    time_goes_by(minutes=minutes)
    AlertDelivery.objects.update(received_at=F("received_at") - timedelta(minutes=minutes))
    time.sleep(6)
    assert Notification.objects.filter(kind="page", step__gt=0).count() == 0
    world.beat()
    wait_for(lambda: taken(2) and all_sent(), PATIENCE, "what was overdue")
    each_once(world, names, steps=3)
    in_order(world, names)
    late = lateness()
    print(f"late by {late[1]:.0f} s and {late[2]:.0f} s")
    assert 900 <= late[1] < 1200
    assert 300 <= late[2] < 600
    assert set(Escalation.objects.values_list("step", flat=True)) == {3}


def test_a_broker_that_is_away_costs_no_step(world: World) -> None:
    names = ["A0", "A1"]
    routing(0, 5, 8, names=2)
    world.start("delivery", "control", "beat")
    wait_for(EngineHeartbeat.objects.exists, PATIENCE, "a sweep")
    world.running.stop_broker()
    assert world.post(*names) == 200
    assert AlertDelivery.objects.get().state == DeliveryState.STORED
    time.sleep(10)
    assert Notification.objects.count() == 0
    world.running.start_broker()
    wait_for(lambda: taken(2) and all_sent(), PATIENCE, "every step")
    each_once(world, names, steps=3)
    in_order(world, names)
    assert all(seconds > 0 for seconds in lateness().values())


def wrong_clock(by: str) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME": by,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
    }


def swept_again() -> None:
    """Whatever is due has been looked at since."""
    for _ in range(2):
        before = EngineHeartbeat.objects.get().beat_at
        wait_for(lambda before=before: EngineHeartbeat.objects.get().beat_at > before, PATIENCE, "a sweep")


@pytest.mark.skipif(FAKETIME is None, reason="needs apt-get install faketime")
@pytest.mark.skipif(not os.environ.get("TEST_DATABASE_URL"), reason="on SQLite each process's clock is the database's")
def test_a_worker_whose_clock_is_wrong_tells_at_the_right_time(world: World) -> None:
    """The one that sweeps, an hour ahead and an hour behind, alone and then beside one whose clock is right.
    PostgreSQL's clock decides. One alert each time, with a step after five seconds and one after an hour."""
    routing(0, 5, 3600, names=4)
    world.start("delivery", "beat")
    for turn, (wrong, alone) in enumerate([("+1h", True), ("-1h", True), ("-1h", False), ("+1h", False)]):
        if turn == 2:
            world.control("right")
        world.control("wrong", **wrong_clock(wrong))
        assert world.post(f"A{turn}") == 200
        paged = Notification.objects.filter(escalation__episode__name=f"A{turn}", kind="page", step=1)
        wait_for(lambda paged=paged: paged.count() >= 2 and all_sent(), PATIENCE, f"its step, {wrong}, alone: {alone}")
        swept_again()
        world.kill("wrong")
        each_once(world, [f"A{n}" for n in range(turn + 1)], steps=2)  # nobody thinks it is an hour later
    assert max(lateness().values()) < 1800  # an hour off would show
    planned = Notification.objects.filter(step=1).values_list("planned_at", "escalation__started_at")
    assert all(due - began == timedelta(seconds=5) for due, began in planned)


def test_an_acknowledgement_a_second_before_and_a_second_after(world: World) -> None:
    """A step after 600 seconds. The times of the rows are moved so that it falls due soon, and then just did."""
    routing(0, 600, names=2)
    world.start("delivery", "control", "beat")
    assert world.post("A0", "A1") == 200
    wait_for(lambda: taken(0) and all_sent(), PATIENCE, "the first step")
    before, after = (Episode.objects.get(name=name) for name in ("A0", "A1"))
    began = Escalation.objects.earliest("started_at").started_at
    with transaction.atomic():  # a machine that is busy makes it no later than that
        time_goes_by(seconds=599 - (database_now() - began).total_seconds())
        acknowledge(episode_id=before.pk, actor=SYSTEM)
    began = Escalation.objects.latest("started_at").started_at
    time_goes_by(seconds=max(0.0, 601 - (database_now() - began).total_seconds()))
    wait_for(lambda: taken(1), PATIENCE, "the step, taken and let go")
    acknowledge(episode_id=after.pk, actor=SYSTEM)
    wait_for(all_sent, PATIENCE, "what was taken")
    paged = Counter((said.step, name) for said in world.desk.heard for name in ("A0", "A1") if name in said.about)
    assert {key: count for key, count in paged.items() if key[0]} == {(1, "A0"): 2, (1, "A1"): 2, (2, "A1"): 2}
    outcomes = Notification.objects.filter(step=1, kind="page").values_list("escalation__episode__name", "outcome")
    assert Counter(outcomes) == {("A0", "skipped"): 2, ("A1", "queued"): 2}
