"""Who watches the sweep: says once that it stands still, without it, and is never in the way."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from apps.alerts import alarms, conditions, heart, watcher
from apps.alerts.escalating import escalate
from apps.alerts.models import EngineHeartbeat, Episode, Escalation, Notification
from apps.alerts.telling import late_by
from apps.alerts.watcher import Watcher
from apps.core.db import database_now
from apps.outbox.models import Message
from opsportal import health
from tests.alerts.conftest import NOON, Sender, after, alert, body
from tests.alerts.paging import make_channels, sent

pytestmark = pytest.mark.django_db


class Steady:
    """A clock of one process."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture(autouse=True)
def channels(db: None) -> None:
    make_channels()


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def watching(steady: Steady) -> Watcher:
    """One that has watched for long."""
    found = Watcher(steady)
    steady.at += 100
    return found


def stood_still(seconds: int) -> None:
    EngineHeartbeat.objects.update_or_create(
        pk=heart.NAME, defaults={"beat_at": database_now() - timedelta(seconds=seconds)}
    )


class Listener:
    """Takes what is posted or asked; ``status`` is what it answers."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.status = 200
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                content = self.rfile.read(size)
                listener.heard.append((self.path, json.loads(content) if content else None))
                self.send_response(listener.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = _take

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_a_sweep_leaves_its_heartbeat_and_only_forward() -> None:
    escalate(NOON)
    escalate(after(minutes=-5))
    assert heart.last_beat() == NOON


def test_all_is_well(watching: Watcher) -> None:
    stood_still(5)
    assert watching.look() == ""
    assert sent() == []


def test_a_sweep_that_stands_still_is_said_once_through_the_outbox(watching: Watcher, steady: Steady) -> None:
    stood_still(75)
    other = Watcher(steady)
    steady.at += 100
    assert "nobody is paged" in watching.look()
    for _ in range(3):
        watching.look()
        other.look()
    assert sent() == [("pagerduty", ""), ("slack", "#alerts")]
    assert json.loads(Message.objects.get(service="pagerduty").json or "")["event_action"] == "trigger"


def test_its_end_is_said_once_and_closes_the_incident(watching: Watcher) -> None:
    stood_still(75)
    watching.look()
    stood_still(0)
    watching.look()
    watching.look()
    events = [json.loads(message.json or "") for message in Message.objects.filter(service="pagerduty").order_by("pk")]
    assert [event["event_action"] for event in events] == ["trigger", "resolve"]
    assert len({event["dedup_key"] for event in events}) == 1
    stood_still(75)
    watching.look()
    assert Message.objects.filter(service="pagerduty").count() == 3  # another outage is another alarm


def test_right_after_a_start_nothing_is_certain(steady: Steady) -> None:
    stood_still(3600)
    found = Watcher(steady)
    assert found.look() != ""
    assert sent() == []
    steady.at += 61
    found.look()
    assert len(sent()) == 2


def test_a_portal_that_never_swept_is_given_a_minute(watching: Watcher) -> None:
    assert watching.look() == ""
    assert heart.last_beat() is not None


def test_a_step_that_is_due_and_not_taken(watching: Watcher, steady: Steady, sender: Sender) -> None:
    now = database_now()
    sender.tell(body(alert()), now)
    escalate(now)
    Escalation.objects.update(next_at=now - timedelta(seconds=70), step=1)
    stood_still(0)
    assert watching.look() == ""  # it may have been held until now
    steady.at += 61
    assert "are not taken" in watching.look()
    Episode.objects.update(snoozed_until=database_now() + timedelta(hours=1))
    assert watching.look() == ""


def test_the_environment_names_ways_that_need_neither_database_nor_worker(
    watching: Watcher, listener: Listener, settings: Any
) -> None:
    settings.ALARM_WEBHOOK_URL = f"{listener.url}/hook"
    settings.ALARM_PAGERDUTY_KEY, settings.ALARM_PAGERDUTY_URL = "R0", f"{listener.url}/pagerduty"
    stood_still(75)
    watching.look()
    watching.look()
    paths = dict(listener.heard)
    assert [path for path, _ in listener.heard] == ["/hook", "/pagerduty"]
    assert paths["/hook"]["status"] == "firing"
    assert "nobody is paged" in paths["/hook"]["text"]
    assert (paths["/pagerduty"]["routing_key"], paths["/pagerduty"]["event_action"]) == ("R0", "trigger")
    stood_still(0)
    watching.look()
    assert [said["status"] for path, said in listener.heard if path == "/hook"] == ["firing", "resolved"]


def test_what_could_not_be_said_is_said_later(watching: Watcher, listener: Listener, settings: Any) -> None:
    settings.ALARM_WEBHOOK_URL = listener.url
    listener.status = 500
    stood_still(75)
    watching.look()
    listener.status = 200
    watching.look()
    watching.look()
    assert len(listener.heard) == 2


def test_mail(watching: Watcher, settings: Any) -> None:
    got: list[bytes] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 x\r\n")
            inside = False
            for line in self.rfile:
                got.append(line)
                if inside and line != b".\r\n":
                    continue
                word = line.strip().upper()
                inside = word == b"DATA"
                self.wfile.write(b"354 go\r\n" if inside else b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
                if word == b"QUIT":
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        settings.ALARM_EMAIL = ["ops@example.com", "boss@example.com"]
        settings.ALARM_SMTP_URL = f"smtp://127.0.0.1:{server.server_address[1]}"
        stood_still(75)
        watching.look()
        server.shutdown()
    letter = b"".join(got).decode()
    assert "Subject: [CRITICAL] No sweep of the escalation" in letter.replace("\r\n ", " ")
    assert "RCPT TO:<boss@example.com>" in letter.replace("rcpt", "RCPT")


def test_the_outside_is_told_once_a_minute_that_all_is_well(
    watching: Watcher, listener: Listener, settings: Any
) -> None:
    settings.HEARTBEAT_URL = f"{listener.url}/ping/uuid"
    stood_still(0)
    watching.look()
    watching.look()
    assert [path for path, _ in listener.heard] == ["/ping/uuid"]
    EngineHeartbeat.objects.update(pinged_at=database_now() - timedelta(seconds=61))
    stood_still(75)
    watching.look()
    assert len(listener.heard) == 1
    stood_still(0)
    listener.status = 503
    watching.look()
    assert EngineHeartbeat.objects.get().ping_problem == "answered 503"


def test_a_heartbeat_address_that_hangs_is_left(watching: Watcher, settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(alarms, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings.HEARTBEAT_URL = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        stood_still(0)
        assert watching.look() == ""
    assert "could not be asked" in EngineHeartbeat.objects.get().ping_problem


def test_without_a_database_each_process_says_so_once(
    watching: Watcher, steady: Steady, listener: Listener, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALARM_WEBHOOK_URL = listener.url

    def gone() -> datetime:
        raise OperationalError("connection refused\nand more")

    with monkeypatch.context() as patch:
        patch.setattr(watcher, "database_now", gone)
        patch.setattr(watcher.connection, "close", lambda: None)
        assert "connection refused" in watching.look()
        assert listener.heard == []
        for _ in range(3):
            steady.at += 61
            watching.look()
        assert len(listener.heard) == 1
    watching.look()
    assert [said["status"] for _, said in listener.heard] == ["firing", "resolved"]


def test_the_thread_outlives_whatever_it_meets(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    stop = threading.Event()

    class Broken(Watcher):
        def look(self) -> str:
            looks.append(1)
            if len(looks) == 3:
                stop.set()
            raise RuntimeError("anything")

    monkeypatch.setattr(watcher, "EVERY_S", 0.001)
    monkeypatch.setattr(watcher.connection, "close", lambda: None)
    watcher.run(stop, Broken())
    assert len(looks) == 3


class TestHealth:
    @pytest.fixture(autouse=True)
    def anew(self, monkeypatch: pytest.MonkeyPatch) -> None:
        health.escalation.forget()
        well = health.Check(True)
        monkeypatch.setattr(health, "CHECKS", {"database": lambda: well, "escalation": health._ask_escalation})

    def ask(self) -> tuple[int, dict[str, Any]]:
        answer = Client().get("/health")
        return answer.status_code, answer.json()["checks"]["escalation"]

    def test_in_time(self) -> None:
        stood_still(3)
        status, said = self.ask()
        assert (status, said["ok"]) == (200, True)
        assert 3 <= said["last_sweep_seconds"] < 30

    def test_never_yet(self) -> None:
        assert self.ask()[0] == 200

    def test_stood_still(self) -> None:
        stood_still(61)
        status, said = self.ask()
        assert (status, said["ok"]) == (503, False)
        assert "nobody is paged" in said["detail"]

    def test_what_the_watchers_saw(self, watching: Watcher) -> None:
        stood_still(0)
        EngineHeartbeat.objects.update(problem="3 steps are late", watched_at=database_now())
        assert self.ask()[0] == 503
        EngineHeartbeat.objects.update(watched_at=database_now() - timedelta(minutes=5))
        assert self.ask()[0] == 200


@pytest.mark.parametrize(
    ("planned", "now", "beat", "late"),
    [
        (NOON, after(minutes=25), NOON, 1500),  # away since before it was due
        (NOON, after(minutes=25), after(minutes=24, seconds=55), 5),  # held until now
        (NOON, NOON, after(minutes=-1), 0),
        (NOON, after(minutes=1), None, 0),
        (NOON, after(minutes=-60), after(minutes=-1), 0),  # a clock that jumped back
    ],
)
def test_lateness_is_the_engines_own(planned: datetime, now: datetime, beat: datetime | None, late: int) -> None:
    assert late_by(planned, now, beat) == late


def test_being_late_is_an_alert_of_the_portal(sender: Sender) -> None:
    escalate(NOON)
    sender.tell(body(alert()), NOON)
    escalate(after(minutes=20))
    assert set(Notification.objects.values_list("late_s", flat=True)) == {1200}
    found = list(conditions.escalation_late(after(minutes=21)))
    assert "up to 1200 s" in found[0].text
    assert found[0].annotations()["runbook_url"] == "docs/runbooks/escalation-late.md"
    assert list(conditions.escalation_late(after(minutes=31))) == []
