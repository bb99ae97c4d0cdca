"""What the API tells against what the posts told; the API is a real server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from apps.alerts import reconciling
from apps.alerts.episodes import State
from apps.alerts.escalating import escalate
from apps.alerts.fingerprint import fingerprint_of
from apps.alerts.models import AlertDelivery, AlertSource, Episode, Notification
from apps.alerts.processing import process_all
from apps.alerts.reconciling import reconcile_all
from apps.alerts.settling import settle_all
from tests.alerts.conftest import NOON, Sender, after, alert, body

pytestmark = pytest.mark.django_db


class Api:
    """An Alertmanager's API that answers what the test says."""

    def __init__(self) -> None:
        self.status, self.answer = 200, b"[]"
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(api.status)
                self.end_headers()
                self.wfile.write(api.answer)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def knows(self, *alerts: dict[str, Any], silenced_by: tuple[str, ...] = ()) -> None:
        status = {"state": "suppressed" if silenced_by else "active", "silencedBy": list(silenced_by)}
        told = [{**a, "fingerprint": fingerprint_of(a["labels"]), "status": status} for a in alerts]
        self.answer = json.dumps(told).encode()


@pytest.fixture
def api(sender: Sender) -> Iterator[Api]:
    found = Api()
    AlertSource.objects.update(api_url=f"http://127.0.0.1:{found.server.server_port}")
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    def reconcile_at(moment: datetime) -> int:
        monkeypatch.setattr(reconciling, "database_now", lambda: moment)
        return reconcile_all()

    return reconcile_at


def test_lie_4_what_ended_while_it_was_silenced_is_resolved_as_an_inference(sender: Sender, api: Api, at: Any) -> None:
    sender.tell(body(alert()), NOON)
    api.knows(alert(), silenced_by=("abc",))
    at(after(minutes=2))
    episode = Episode.objects.get()
    assert (episode.suppressed, episode.suppressed_by) == (True, ["abc"])
    api.knows()
    for minute in (10, 11, 12):
        at(after(minutes=minute))
        assert Episode.objects.get().state == State.FIRING
    at(after(minutes=13))
    assert Episode.objects.get().state == State.RECOVERING
    settle_all(after(minutes=15))
    episode = Episode.objects.get()
    assert episode.state == State.RESOLVED
    assert ["told_by_source", False] in episode.proof
    assert ["confirmed_by_api", True] in episode.proof


def test_a_silence_holds_the_page_and_its_end_tells_what_is_overdue(sender: Sender, api: Api, at: Any) -> None:
    sender.tell(body(alert()), NOON)
    api.knows(alert(), silenced_by=("abc",))
    at(NOON)
    escalate(after(minutes=5))
    assert Notification.objects.count() == 0
    api.knows(alert())
    at(after(minutes=6))
    escalate(after(minutes=6))
    assert Notification.objects.filter(step=0).count() == 2


def test_an_alertmanager_that_was_restarted_resolves_nothing(sender: Sender, api: Api, at: Any) -> None:
    sender.tell(body(alert()), NOON)
    api.knows()
    at(after(minutes=3))
    api.knows(alert())
    at(after(minutes=4))
    api.knows()
    at(after(minutes=5))
    assert Episode.objects.get().state == State.FIRING


def test_a_post_that_was_never_accepted_is_found(sender: Sender, api: Api, at: Any) -> None:
    api.knows(alert("Lost"), alert("Watchdog"))
    at(after(minutes=1))
    assert AlertDelivery.objects.count() == 0  # its post may still come
    at(after(minutes=2))
    process_all()
    episode = Episode.objects.get()
    assert (episode.name, episode.state) == ("Lost", State.FIRING)
    at(after(minutes=3))
    assert AlertDelivery.objects.count() == 1


def test_what_is_silenced_from_the_start_pages_nobody(sender: Sender, api: Api, at: Any) -> None:
    api.knows(alert("Quiet"), silenced_by=("abc",))
    at(after(minutes=5))
    assert AlertDelivery.objects.count() == 0


@pytest.mark.parametrize(("status", "answer"), [(500, b"[]"), (302, b""), (200, b"{}"), (200, b"<html>")])
def test_an_api_that_does_not_answer_changes_nothing_and_is_told(
    sender: Sender, api: Api, at: Any, status: int, answer: bytes
) -> None:
    sender.tell(body(alert()), NOON)
    api.status, api.answer = status, answer
    for minute in range(2, 20):
        at(NOON + timedelta(minutes=minute))
    assert Episode.objects.get().state == State.FIRING
    assert "/api/v2/alerts" in AlertSource.objects.get(pk="eu1").api_problem


def test_firing_again_is_no_inference_any_more(sender: Sender, api: Api, at: Any) -> None:
    sender.tell(body(alert()), NOON)
    for minute in (2, 5):
        at(after(minutes=minute))
    assert Episode.objects.get().inferred
    sender.tell(body(alert(starts=after(minutes=6))), after(minutes=6))
    episode = Episode.objects.get()
    assert (episode.state, episode.inferred, episode.absent_since) == (State.FIRING, False, None)


# --- what the API says against what was believed ----------------------------------------------------
def test_what_the_api_lists_again_does_not_recover_by_inference(sender: Sender, api: Api, at: Any) -> None:
    sender.tell(body(alert()), NOON)
    api.knows()
    for minute in (2, 5):
        at(after(minutes=minute))
    assert Episode.objects.get().inferred
    api.knows(alert())
    at(after(minutes=6))
    process_all()
    settle_all(after(minutes=30))
    episode = Episode.objects.get()
    assert (episode.state, episode.inferred) == (State.FIRING, False)


def test_what_was_resolved_and_still_fires_for_the_api_fires(sender: Sender, api: Api, at: Any) -> None:
    """It ended and began again before anybody was told, or one Alertmanager of a pair knows less than the other."""
    sender.tell(body(alert()), NOON)
    sender.tell(body(alert(status="resolved", ends=after(minutes=1))), after(minutes=1))
    api.knows(alert(starts=after(minutes=2)))
    at(after(minutes=2))
    process_all()
    assert Episode.objects.get().state == State.RECOVERING  # its post may still come
    at(after(minutes=3))
    process_all()
    assert Episode.objects.get().state == State.FIRING


def test_a_firing_that_looked_stale_is_believed_once_the_api_confirms_it(sender: Sender, api: Api, at: Any) -> None:
    sender.tell(body(alert()), NOON)
    sender.tell(body(alert(status="resolved", ends=after(minutes=1))), after(minutes=1))
    settle_all(after(minutes=6))
    sender.tell(body(alert()), after(minutes=7))
    assert Episode.objects.count() == 1  # stale: two Alertmanagers race
    api.knows(alert())
    at(after(minutes=8))
    process_all()
    old, new = Episode.objects.order_by("pk")
    assert (new.state, new.previous) == (State.FIRING, old)


def test_an_api_that_hears_no_heartbeat_proves_nothing_by_silence(sender: Sender, api: Api, at: Any) -> None:
    """An Alertmanager that was restarted while its Prometheus is dead knows nothing, and for long."""
    sender.tell(body(alert(), alert("Watchdog")), NOON)
    api.knows()
    for minute in (2, 5, 10):
        at(after(minutes=minute))
    assert (Episode.objects.get().state, Episode.objects.get().absent_since) == (State.FIRING, None)
    api.knows(alert("Watchdog"))
    for minute in (11, 14):
        at(after(minutes=minute))
    assert Episode.objects.get().state == State.RECOVERING


@pytest.mark.parametrize(
    "odd",
    [
        {"labels": [1], "status": {"state": "active", "silencedBy": 5}},
        {"labels": None, "status": "active"},
        {"labels": {"a": {"b": 1}}, "status": {"silencedBy": "abc", "inhibitedBy": {"x": 1}, "mutedBy": [None, 7]}},
        {"status": {"silencedBy": [["x"]]}, "startsAt": 7},
    ],
)
def test_odd_alerts_of_an_api_stop_no_others(sender: Sender, api: Api, at: Any, odd: dict[str, Any]) -> None:
    sender.tell(body(alert()), NOON)
    good = {**alert("Lost"), "fingerprint": "f" * 16, "status": {"state": "active"}}
    told = [{"startsAt": NOON.isoformat(), "fingerprint": "0dd", **odd}, good, None, {"fingerprint": 7}]
    api.answer = json.dumps(told).encode()
    at(after(minutes=5))
    process_all()
    assert Episode.objects.filter(name="Lost", state=State.FIRING).exists()
    assert AlertSource.objects.get(pk="eu1").api_problem == ""


def test_an_answer_without_end_is_cut(sender: Sender, api: Api, at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "LARGEST", 1000)
    api.answer = b"[" + b" " * 2000 + b"]"
    at(after(minutes=5))
    assert "1000 bytes" in AlertSource.objects.get(pk="eu1").api_problem


def test_what_was_relabelled_is_a_new_alert_and_the_old_one_ends_by_inference(
    sender: Sender, api: Api, at: Any
) -> None:
    sender.tell(body(alert(labels={"cluster": "eu1"})), NOON)
    sender.tell(body(alert(labels={"cluster": "eu-1"})), after(minutes=1))
    api.knows(alert(labels={"cluster": "eu-1"}))
    for minute in (3, 6):
        at(after(minutes=minute))
    settle_all(after(minutes=12))
    states = {episode.labels["cluster"]: episode.state for episode in Episode.objects.all()}
    assert states == {"eu1": State.RESOLVED, "eu-1": State.FIRING}


def test_starts_of_the_api_in_milliseconds_are_the_same_alert(sender: Sender, api: Api, at: Any) -> None:
    sender.tell(body(alert(starts="2026-11-21T12:00:00.625980814Z")), after(seconds=5))
    api.knows(alert(starts="2026-11-21T12:00:00.625Z"))
    for minute in (2, 4, 6):
        at(after(minutes=minute))
    process_all()
    assert (Episode.objects.count(), AlertDelivery.objects.count()) == (1, 1)
