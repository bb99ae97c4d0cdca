"""A real Prometheus and real Alertmanagers against the portal's door: rule fires, group forms, parts and all of it
resolve, a silence falls, processes are killed, the portal answers 500. The log ends true each time, one page each.

Debian's packages prometheus and prometheus-alertmanager; .ci/run installs them.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings
from django.db import DatabaseError, connections

from apps.alerts import receiver, reconciling
from apps.alerts.episodes import State
from apps.alerts.escalating import escalate
from apps.alerts.models import AlertDelivery, AlertLog, AlertSource, Episode, Notification
from apps.alerts.processing import process_all
from apps.alerts.services import create_source
from apps.alerts.settling import settle_all
from apps.core.actor import SYSTEM
from tests.conftest import make_service

ALERTMANAGER = shutil.which("prometheus-alertmanager")
PROMETHEUS = shutil.which("prometheus")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not (ALERTMANAGER and PROMETHEUS), reason="needs apt-get install prometheus prometheus-alertmanager"
    ),
]

RULES = """
groups:
- name: test
  rules:
  - {alert: Watchdog, expr: vector(1), labels: {severity: none}}
  - {alert: Broken, expr: broken == 1, labels: {severity: critical}}
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Target:
    """What Prometheus scrapes: ``broken{part="..."}`` for each part."""

    def __init__(self) -> None:
        self.parts: dict[str, int] = {}
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                lines = [f'broken{{part="{name}"}} {value}' for name, value in target.parts.items()]
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(("\n".join(lines) + "\n").encode())

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class World:
    """The processes of one test, and the portal's sweeps in its own thread."""

    def __init__(self, folder: Path, url: str, token: str) -> None:
        self.folder, self.url, self.token = folder, url, token
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}
        self.target = Target()

    def alertmanager(self, name: str, *peers: str) -> str:
        port = self.ports.setdefault(name, free_port())
        gossip = self.ports.setdefault(f"{name}.gossip", free_port())
        config = self.folder / "alertmanager.yml"
        config.write_text(
            "route: {receiver: portal, group_by: [alertname],"
            " group_wait: 1s, group_interval: 2s, repeat_interval: 8s}\n"
            "receivers:\n- name: portal\n  webhook_configs:\n"
            f"  - url: {self.url}/webhooks/alertmanager\n"
            f"    http_config: {{authorization: {{type: Bearer, credentials: {self.token}}}}}\n"
        )
        cluster = f"--cluster.listen-address=127.0.0.1:{gossip}" if peers or name == "one" else ""
        arguments = [
            f"--config.file={config}",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--storage.path={self.folder / name}",
            cluster or "--cluster.listen-address=",
            *(f"--cluster.peer=127.0.0.1:{self.ports[f'{peer}.gossip']}" for peer in peers),
        ]
        self._start(name, str(ALERTMANAGER), arguments)
        self._ready(f"http://127.0.0.1:{port}/-/ready")
        return f"http://127.0.0.1:{port}"

    def prometheus(self, *alertmanagers: str) -> None:
        port = self.ports.setdefault("prometheus", free_port())
        (self.folder / "rules.yml").write_text(RULES)
        targets = ", ".join(f"'{url.removeprefix('http://')}'" for url in alertmanagers)
        config = self.folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{self.folder / 'rules.yml'}']\n"
            f"alerting: {{alertmanagers: [{{static_configs: [{{targets: [{targets}]}}]}}]}}\n"
            "scrape_configs:\n- job_name: parts\n"
            f"  static_configs: [{{targets: ['127.0.0.1:{self.target.port}']}}]\n"
        )
        arguments = [
            f"--config.file={config}",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--storage.tsdb.path={self.folder / 'tsdb'}",
            # endsAt is four times this: what a dead Prometheus leaves behind ends soon.
            "--rules.alert.resend-delay=1s",
        ]
        self._start("prometheus", str(PROMETHEUS), arguments)
        self._ready(f"http://127.0.0.1:{port}/-/ready")

    def _start(self, name: str, program: str, arguments: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen([program, *arguments], stdout=log, stderr=log, cwd=self.folder)

    @staticmethod
    def _ready(url: str) -> None:
        for _ in range(200):
            try:
                if requests.get(url, timeout=1).status_code == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.1)
        raise AssertionError(f"{url} did not become ready")

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)

    def until(self, holds: Callable[[], bool], within: float = 40) -> None:
        """Run the portal's sweeps as beat would until ``holds``."""
        end = time.monotonic() + within
        while True:
            process_all()
            reconciling.reconcile_all()
            settle_all()
            escalate()
            if holds():
                return
            assert time.monotonic() < end, (list(Episode.objects.values_list("name", "labels", "state")),)
            time.sleep(0.25)

    def close(self) -> None:
        for name in list(self.running):
            self.kill(name)
        self.target.server.shutdown()
        self.target.server.server_close()


@pytest.fixture
def world(transactional_db: None, live_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setitem(connections.databases["default"], "CONN_MAX_AGE", 0)
    monkeypatch.setattr(settings, "ALERT_NORMAL_S", 3)
    monkeypatch.setattr(reconciling, "YOUNG", timedelta(seconds=4))
    monkeypatch.setattr(reconciling, "GONE_FOR", timedelta(seconds=3))
    make_service("slack", channel="slack", settings={"mode": "api", "channel": "#alerts"})
    token = create_source(name="real", actor=SYSTEM).token
    found = World(tmp_path, live_server.url, token)
    yield found
    found.close()


def states() -> dict[str, str]:
    found = Episode.objects.filter(source="real", name="Broken").order_by("pk")
    return {episode.labels["part"]: episode.state for episode in found}


def pages() -> int:
    return Notification.objects.filter(escalation__episode__name="Broken", kind="page", step=0, target="alerts").count()


def silenced(url: str) -> str:
    """A silence of all that is broken, for ten minutes; its id."""
    silence = {
        "matchers": [{"name": "alertname", "value": "Broken", "isRegex": False}],
        "startsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "endsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600)),
        "createdBy": "test",
        "comment": "test",
    }
    answer = requests.post(f"{url}/api/v2/silences", json=silence, timeout=5)
    assert answer.status_code == 200
    return str(answer.json()["silenceID"])


def test_a_group_forms_and_resolves_in_part_and_whole(world: World) -> None:
    world.target.parts = {"a": 1, "b": 1}
    world.prometheus(world.alertmanager("one"))
    world.until(lambda: states() == {"a": State.FIRING, "b": State.FIRING})
    world.target.parts["a"] = 0
    world.until(lambda: states() == {"a": State.RESOLVED, "b": State.FIRING})
    world.target.parts["b"] = 0
    world.until(lambda: states() == {"a": State.RESOLVED, "b": State.RESOLVED})
    assert (Episode.objects.filter(name="Broken").count(), pages()) == (2, 2)
    assert AlertSource.objects.get(pk="real").watchdog_at is not None


def test_what_ends_while_it_is_silenced_ends_here_too(world: World) -> None:
    world.target.parts = {"a": 1}
    url = world.alertmanager("one")
    world.prometheus(url)
    AlertSource.objects.filter(pk="real").update(api_url=url)
    world.until(lambda: states() == {"a": State.FIRING})
    silenced(url)
    world.until(lambda: Episode.objects.get(name="Broken").suppressed)
    world.target.parts["a"] = 0
    world.until(lambda: states() == {"a": State.RESOLVED})
    assert Episode.objects.get(name="Broken").inferred
    assert pages() == 1


def test_a_prometheus_that_is_killed_resolves_nothing(world: World) -> None:
    world.target.parts = {"a": 1}
    world.prometheus(world.alertmanager("one"))
    world.until(lambda: states() == {"a": State.FIRING} and AlertSource.objects.get(pk="real").watchdog_at is not None)
    world.kill("prometheus")
    world.until(lambda: AlertSource.objects.get(pk="real").blind_since is not None)
    world.until(lambda: states() == {"a": State.RECOVERING})
    end = time.monotonic() + 6  # twice as long as it would take
    world.until(lambda: time.monotonic() > end)
    assert states() == {"a": State.RECOVERING}
    assert Episode.objects.filter(source="portal", name="MonitoringBlind", state=State.FIRING).count() == 1
    world.prometheus(f"http://127.0.0.1:{world.ports['one']}")
    world.until(lambda: states() == {"a": State.FIRING})
    assert (Episode.objects.filter(name="Broken").count(), pages()) == (1, 1)


def test_two_alertmanagers_of_which_one_is_killed_page_once(world: World) -> None:
    world.target.parts = {"a": 1}
    one = world.alertmanager("one")
    two = world.alertmanager("two", "one")
    world.prometheus(one, two)
    world.until(lambda: states() == {"a": State.FIRING})
    world.kill("one")
    world.target.parts["b"] = 1
    world.until(lambda: states() == {"a": State.FIRING, "b": State.FIRING})
    world.target.parts = {"a": 0, "b": 0}
    world.until(lambda: set(states().values()) == {State.RESOLVED})
    assert (Episode.objects.filter(name="Broken").count(), pages()) == (2, 2)


def test_a_portal_that_answers_500_for_a_while_hears_of_it_after(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[int] = []

    def broken(_: Any) -> Any:
        refused.append(1)
        raise DatabaseError("away")

    with monkeypatch.context() as away:
        away.setattr(receiver, "_taken", broken)
        world.target.parts = {"a": 1}
        world.prometheus(world.alertmanager("one"))
        world.until(lambda: len(refused) >= 3)
        assert Episode.objects.count() == 0
    world.until(lambda: states() == {"a": State.FIRING})
    assert pages() == 1


def told_last() -> dict[str, str]:
    """What the log says last of each part."""
    lines = AlertLog.objects.filter(source="real", name="Broken").order_by("pk")
    return {line.episode.labels["part"]: line.status for line in lines.select_related("episode") if line.episode}


def test_an_alertmanager_that_is_killed_posts_again_and_pages_nobody(world: World) -> None:
    """Its heartbeat stops without a word; what fires stays open; what it posts again after its start is known."""
    AlertSource.objects.filter(pk="real").update(watchdog_timeout=14)
    world.target.parts = {"a": 1}
    url = world.alertmanager("one")
    world.prometheus(url)
    world.until(lambda: states() == {"a": State.FIRING} and AlertSource.objects.get(pk="real").watchdog_at is not None)
    world.kill("one")
    world.until(lambda: AlertSource.objects.get(pk="real").blind_since is not None)
    world.until(lambda: Episode.objects.filter(name="MonitoringBlind", state=State.FIRING).exists())
    assert states() == {"a": State.FIRING}
    posts = AlertDelivery.objects.filter(source="real").count()
    world.alertmanager("one")
    world.until(lambda: AlertSource.objects.get(pk="real").blind_since is None)
    world.until(lambda: AlertDelivery.objects.filter(source="real").count() >= posts + 2)
    world.target.parts["a"] = 0
    world.until(lambda: states() == {"a": State.RESOLVED})
    world.until(lambda: not Episode.objects.filter(name="MonitoringBlind", state=State.FIRING).exists())
    assert (Episode.objects.filter(name="Broken").count(), pages(), told_last()) == (1, 1, {"a": "resolved"})


def test_a_silence_that_ends_while_it_still_fires_changes_nothing_but_the_quiet(world: World) -> None:
    world.target.parts = {"a": 1}
    url = world.alertmanager("one")
    world.prometheus(url)
    AlertSource.objects.filter(pk="real").update(api_url=url)
    world.until(lambda: states() == {"a": State.FIRING})
    silence = silenced(url)
    world.until(lambda: Episode.objects.get(name="Broken").suppressed_by == [silence])
    assert requests.delete(f"{url}/api/v2/silence/{silence}", timeout=5).status_code == 200
    world.until(lambda: not Episode.objects.get(name="Broken").suppressed)
    assert states() == {"a": State.FIRING}
    world.target.parts["a"] = 0
    world.until(lambda: states() == {"a": State.RESOLVED})
    assert (pages(), told_last(), Episode.objects.get(name="Broken").inferred) == (1, {"a": "resolved"}, False)
