"""Bodies of every kind through the whole: posted, read, swept, told, shown.

Ours, those of the folder ALERT_PAYLOADS names, made-up ones of other senders, and all of them spoilt at random. What
must hold of any body is :func:`holds`; what a certain body means is said in test_episodes.py and test_edge_cases.py.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings

from apps.accounts.models import User
from apps.alerts.episodes import OPEN_STATES, State
from apps.alerts.escalating import escalate
from apps.alerts.models import AlertDelivery, AlertLog, DeliveryState, Episode, Notification, Quarantined
from apps.alerts.processing import process_all
from apps.alerts.settling import settle_all
from apps.alerts.work import acknowledge
from apps.core.actor import SYSTEM
from apps.core.db import database_now
from apps.outbox.models import Message
from tests.alerts.conftest import Sender, alert, payload_files
from tests.alerts.spoiling import GRAFANA, NEWEST, ODD, VERSION_3, VMALERT, alerts_of, spoilt
from tests.conftest import make_service

pytestmark = pytest.mark.django_db

# What no text that leaves the portal may have: controls other than tab and line feed, and marks that turn text.
NEVER = [chr(code) for code in (*range(9), 11, 12, *range(14, 32), 127)] + list("\u202a\u202b\u202d\u202e\u2066\u2067")


@dataclass
class World:
    sender: Sender
    reader: Client


@pytest.fixture
def world(sender: Sender) -> World:
    make_service("slack", channel="slack", settings={"mode": "api", "channel": "#alerts"})
    make_service("pagerduty", channel="pagerduty", settings={})
    User.objects.create_user("reader@example.com", "right-password", role="viewer")
    reader = Client(raise_request_exception=True)
    assert reader.login(username="reader@example.com", password="right-password")
    return World(sender, reader)


def holds(world: World, content: bytes, **headers: str) -> AlertDelivery:
    """What is true of any body whatever. Returns its delivery."""
    before = set(AlertDelivery.objects.values_list("pk", flat=True))
    answer = world.sender.post(content, **headers)
    stored = AlertDelivery.objects.exclude(pk__in=before).get()
    assert bytes(stored.body) == content
    if answer.status_code == 400:
        assert (stored.state, bool(stored.problem)) == (DeliveryState.QUARANTINED, True)
        return stored
    assert answer.status_code == 200
    _work()
    stored.refresh_from_db()
    assert stored.state == DeliveryState.PROCESSED, stored.problem
    _nothing_lost(stored)
    _one_open_each(stored)
    _what_is_told_is_harmless()
    return stored


def _work() -> None:
    """The sweeps, now and as time goes by."""
    now = database_now()
    process_all()
    for minutes in (0, 6, 11, 31):
        settle_all(now + timedelta(minutes=minutes))
        process_all()
        escalate(now + timedelta(minutes=minutes))


def _nothing_lost(stored: AlertDelivery) -> None:
    lines = AlertLog.objects.filter(delivery=stored).values_list("position", flat=True)
    aside = Quarantined.objects.filter(delivery=stored).values_list("position", flat=True)
    assert sorted([*lines, *aside]) == list(range(stored.alerts))
    assert not Quarantined.objects.filter(delivery=stored, reason="").exists()


def _one_open_each(stored: AlertDelivery) -> None:
    still_open = list(Episode.objects.filter(state__in=OPEN_STATES).values_list("source", "fingerprint"))
    assert len(still_open) == len(set(still_open))
    last = {line.fingerprint: line for line in AlertLog.objects.filter(delivery=stored).order_by("position")}
    for line in last.values():
        assert line.verdict == "heartbeat" or line.episode_id is not None
        if line.verdict in ("opened", "repeated", "refired", "flapped"):
            assert Episode.objects.get(pk=line.episode_id).state == State.FIRING


def _what_is_told_is_harmless() -> None:
    for message in Message.objects.all():
        told = message.subject + (message.payload or "") + " ".join(_texts(json.loads(message.json or "null")))
        assert not [mark for mark in NEVER if mark in told]
        assert "\n" not in message.subject
        if message.service_id == "slack":
            assert "<" not in json.loads(message.json or "")["text"]
    for note in Notification.objects.filter(outcome="queued"):
        assert Message.objects.filter(pk=note.message_id).exists()


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for item in inner for text in _texts(item)]


def seen(world: World, stored: AlertDelivery) -> None:
    """The lists, and the pages of the latest."""
    pages = ["/alerts", "/alerts?state=resolved"]
    pages += [f"/alerts/{number}" for number in Episode.objects.order_by("-pk").values_list("pk", flat=True)[:3]]
    for page in pages:
        answer = world.reader.get(page)
        assert answer.status_code == 200, page
        text = answer.content.decode()
        assert "<script>alert" not in text
        assert 'href="javascript:' not in text.lower()
        assert not [mark for mark in NEVER if mark in text], page


@pytest.mark.parametrize("path", payload_files(), ids=lambda path: path.name)
def test_every_body_there_is_is_taken_told_and_shown(path: Path, world: World) -> None:
    content = path.read_bytes()
    stored = holds(world, content)
    readable = alerts_of(content)
    if readable is not None:
        assert (stored.state, stored.alerts) == (DeliveryState.PROCESSED, len(readable))
    seen(world, stored)
    again = holds(world, content)
    assert again.alerts == stored.alerts


def test_every_body_one_after_the_other_and_back(world: World) -> None:
    """One after the other they tell of the same alerts: what comes next must stand on what came before."""
    bodies = [path.read_bytes() for path in payload_files()]
    for content in [*bodies, *reversed(bodies)]:
        stored = holds(world, content)
        for episode in Episode.objects.filter(state=State.FIRING, acknowledged_at__isnull=True)[:1]:
            acknowledge(episode_id=episode.pk, actor=SYSTEM)
    seen(world, stored)


# --- other senders ------------------------------------------------------------------------------
@pytest.mark.parametrize("document", [GRAFANA, VERSION_3, VMALERT, NEWEST], ids=["grafana", "3", "vmalert", "newest"])
def test_bodies_of_other_senders(document: dict[str, Any], world: World) -> None:
    stored = holds(world, json.dumps(document).encode())
    assert not stored.rejected.exists()
    assert stored.alerts == len(document["alerts"])
    seen(world, stored)
    if document is GRAFANA:
        assert AlertLog.objects.get().extra["values"] == {"A": 2.31, "C": 1}
        assert Episode.objects.get().fingerprint == "c9a21f6e5f3d1b07"


def encoded(document: dict[str, Any], how: str) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode(how)


@pytest.mark.parametrize("how", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_bodies_in_every_form_of_unicode(how: str, world: World) -> None:
    stored = holds(world, encoded({"alerts": [alert("Läuft über ✓")]}, how))
    assert stored.state == DeliveryState.PROCESSED
    assert Episode.objects.get().name == "Läuft über ✓"


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded"])
def test_whatever_type_a_body_says_it_has(kind: str, world: World) -> None:
    headers = {"Authorization": f"Bearer {world.sender.token}"}
    content = json.dumps(GRAFANA).encode()
    answer = Client().post("/webhooks/alertmanager", data=content, content_type=kind, headers=headers)
    assert answer.status_code == 200
    assert bytes(AlertDelivery.objects.get().body) == content


def test_a_body_that_is_packed_is_kept_packed_and_read(world: World) -> None:
    stored = holds(world, gzip.compress(json.dumps(GRAFANA).encode()), **{"Content-Encoding": "gzip"})
    assert stored.state == DeliveryState.PROCESSED
    assert Episode.objects.count() == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"null",
        b"[]",
        b'{"alerts": null}',
        b'{"alerts": {"0": {}}}',
        b'{"alerts": "firing"}',
        b"[" * 100_000,
        b'{"alerts": [{"labels": {"a": "b"}}',
        b"\xff\xfe\xff\xfe",
        b"<html>502 Bad Gateway</html>",
        b'{"a":' * 50_000,
    ],
)
def test_what_is_no_body_of_alerts_is_kept_and_refused(content: bytes, world: World) -> None:
    assert holds(world, content).state == DeliveryState.QUARANTINED


OUTER = ["version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels", "externalURL"]
INNER = ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint", "unknown"]


@pytest.mark.parametrize("turn", range(len(ODD)))
def test_no_field_of_a_body_costs_an_alert_by_its_type(turn: int, world: World) -> None:
    """In each turn every field is odd in another way, and after all of them each was odd in every way."""
    odd = {field: ODD[(turn + place) % len(ODD)] for place, field in enumerate(OUTER)}
    stored = holds(world, json.dumps({**GRAFANA, **odd}).encode())
    assert (stored.state, stored.rejected.count()) == (DeliveryState.PROCESSED, 0)


@pytest.mark.parametrize("field", INNER)
def test_an_odd_field_of_an_alert_costs_that_alert_at_most(field: str, world: World) -> None:
    good = alert("Good")
    document = {"alerts": [good, *({**alert(f"Odd{n}"), field: odd} for n, odd in enumerate(ODD)), good]}
    stored = holds(world, json.dumps(document).encode())
    assert stored.state == DeliveryState.PROCESSED
    assert Episode.objects.filter(name="Good", state=State.FIRING).count() == 1
    seen(world, stored)


@pytest.mark.parametrize("value", [*ODD, "9" * 70_000, "javascript:alert(1)", "{{7*7}}", "%s%n", "\ud800", "\u202e"])
def test_odd_values_and_names_of_labels(value: Any, world: World) -> None:
    odd = {**alert(), "labels": {"alertname": "Odd", "x": value, str(value)[:2000]: "y"}}
    stored = holds(world, json.dumps({"alerts": [odd, alert("Good")]}).encode())
    assert Episode.objects.filter(name="Good").count() == 1
    seen(world, stored)


def test_five_hundred_labels_and_names_with_a_meaning_elsewhere(world: World) -> None:
    labels = {"status": "x", "id": "1", "__proto__": "p", "constructor": "c", "pk": "7", "source": "y", "state": "z"}
    labels |= {f"label_{n}": "v" * 100 for n in range(500)}
    stored = holds(world, json.dumps({"alerts": [alert("Many", labels=labels), alert("Good")]}).encode())
    assert Episode.objects.get(name="Many").labels == {"alertname": "Many", "severity": "critical", **labels}
    assert Episode.objects.get(name="Many").state == State.FIRING
    seen(world, stored)


def test_of_a_doubled_name_the_last_counts(world: World) -> None:
    one = b'{"labels": {"alertname": "A", "alertname": "B"}, "status": 1, "status": "firing"}'
    doubled = b'{"alerts": [], "alerts": [' + one + b"]}"
    assert holds(world, doubled).alerts == 1
    assert Episode.objects.get().name == "B"


# --- spoilt at random ---------------------------------------------------------------------------
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(content=spoilt())
def test_bodies_that_are_spoilt_at_random(world: World, content: bytes) -> None:
    """Each on top of what those before it left behind."""
    stored = holds(world, content)
    readable = alerts_of(content)
    if readable is not None:
        assert (stored.state, stored.alerts) == (DeliveryState.PROCESSED, len(readable))
