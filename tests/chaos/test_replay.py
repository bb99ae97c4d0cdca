"""A replay goes on, whole and without duplicates, when the control worker that moves it is killed in the middle."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from apps.core.actor import SYSTEM
from apps.outbox.models import DeadLetter, Message, Replay, ReplayItem
from apps.outbox.replays.services import create_replay
from opsportal.schedule import sync_schedule
from tests.conftest import make_service
from tests.outbox.deadletters.factories import dead
from tests.processes import Stack, kill, stack, wait_for
from tests.provider import Provider

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

LETTERS = 1000
IN_FLIGHT = 32
CALM = {"timeout": 2, "error_threshold_percentage": 100, "volume_threshold": 100_000, "ramp_seconds": 0}


@pytest.fixture
def portal() -> Iterator[Stack]:
    with stack() as running:
        yield running


def start_control(portal: Stack) -> subprocess.Popen[bytes]:
    command = ("celery", "-A", "opsportal", "worker", "-Q", "control", "-P", "threads", "-c", "2")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    return portal.start(sys.executable, "-m", *command, *quiet, log="control")


def test_a_control_worker_killed_amid_a_replay_loses_and_repeats_nothing(portal: Stack) -> None:
    with Provider(script=lambda key, times: (200, 0.01)) as provider:
        service = make_service(
            settings={"url": provider.url}, breaker=CALM, limits={"max_in_flight": IN_FLIGHT}, channel="http"
        )
        for number in range(LETTERS):
            dead(service, idempotency_key=f"k-{number}")
        sync_schedule()
        portal.start_delivery()
        control = start_control(portal)
        portal.start(sys.executable, "-m", "celery", "-A", "opsportal", "beat", "--pidfile=", log="beat")
        replay = create_replay(selection={"service": "midtrans"}, actor=SYSTEM, canary=10)
        for part in (50, 400):
            wait_for(lambda part=part: len(provider.received) >= part, 30, f"{part} letters to arrive")
            kill(control)
            control = start_control(portal)
        wait_for(lambda: Replay.objects.get(pk=replay.pk).state == "done", 40, "the end of the replay", every=0.2)
    replay.refresh_from_db()
    assert (replay.sent, replay.failed, replay.skipped, replay.released) == (LETTERS, 0, 0, 0)
    assert Message.objects.filter(status="SENT").count() == LETTERS
    assert DeadLetter.objects.filter(state="replayed").count() == LETTERS
    assert ReplayItem.objects.filter(state="sent").count() == LETTERS
    assert len(provider.succeeded) == LETTERS
    assert sum(provider.succeeded.values()) - LETTERS <= IN_FLIGHT
