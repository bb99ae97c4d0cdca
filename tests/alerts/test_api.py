"""Alerts over HTTP: what a program reads and does, and what it is told when it may not."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import ApiKey
from apps.accounts.services import create_key
from apps.alerts.escalating import escalate
from apps.alerts.models import Episode, EpisodeEvent
from apps.audit.models import AuditEntry
from apps.core.actor import SYSTEM
from apps.core.db import database_now
from tests.alerts.conftest import NOON, Sender, after, alert, body
from tests.conftest import make_service

pytestmark = pytest.mark.django_db


class Program:
    """A key with the scopes of alerts."""

    def __init__(self, *scopes: str, tenant: str = "") -> None:
        made = create_key(name=f"program{tenant}", scopes=scopes or ("alerts:read", "alerts:work"), actor=SYSTEM)
        if tenant:
            ApiKey.objects.filter(pk=made.key.pk).update(tenant_id=tenant)
        self.headers = {"Authorization": f"Bearer {made.raw}"}

    def get(self, path: str) -> Any:
        return Client().get(f"/api/v1/alerts{path}", headers=self.headers)

    def post(self, path: str, sent: Any = None) -> Any:
        text = "" if sent is None else json.dumps(sent)
        return Client().post(f"/api/v1/alerts{path}", text, content_type="application/json", headers=self.headers)


@pytest.fixture
def program(db: None) -> Program:
    return Program()


@pytest.fixture
def fired(sender: Sender) -> Episode:
    make_service("midtrans", owner="payments")
    sender.tell(body(alert(labels={"service": "midtrans"})), NOON)
    escalate(NOON)
    return Episode.objects.get()


def test_an_alert_is_listed_and_read_with_who_is_next(program: Program, fired: Episode) -> None:
    (item,) = program.get("").json()["items"]
    assert (item["id"], item["name"], item["state"], item["service"]) == (fired.pk, "DiskFull", "firing", "midtrans")
    assert item["summary"] == "DiskFull is bad"
    read = program.get(f"/{fired.pk}").json()
    assert read["labels"]["alertname"] == "DiskFull"
    assert read["route"] == "critical"
    assert read["next"]["steps"] == 3
    assert {note["outcome"] for note in read["notifications"]} == {"impossible"}  # no pagerduty, no slack here


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("severity=critical", 1),
        ("severity=warning", 0),
        ("state=resolved", 0),
        ("state=all", 1),
        ("service=midtrans", 1),
        ("source=eu2", 0),
        ("acknowledged=false", 1),
        ("acknowledged=true", 0),
        ("text=disk", 1),
        ("text=disk+nonsense", 0),
        ("first_seen_after=2026-11-21T12:00:00Z", 1),
        ("first_seen_before=2026-11-21T12:00:00Z", 0),
    ],
)
def test_filters(program: Program, fired: Episode, query: str, found: int) -> None:
    assert len(program.get(f"?{query}").json()["items"]) == found


def test_pages_are_walked_by_their_cursor(program: Program, sender: Sender) -> None:
    names = [alert(f"A{number}", labels={"severity": "critical" if number % 2 else "info"}) for number in range(5)]
    sender.tell(body(*names), NOON)
    seen: list[str] = []
    cursor = ""
    while True:
        page = program.get(f"?limit=2{cursor}").json()
        seen += [item["name"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert (set(seen[:2]), set(seen[2:])) == ({"A1", "A3"}, {"A0", "A2", "A4"})
    assert len(seen) == 5


def test_working_an_alert(program: Program, fired: Episode) -> None:
    until = (database_now() + timedelta(hours=2)).isoformat()
    answer = program.post(f"/{fired.pk}/acknowledge", {"reason": "at it", "until": until})
    assert answer.status_code == 200, answer.content
    assert answer.json()["acknowledged_by"] == "apikey:program"
    second = program.post(f"/{fired.pk}/acknowledge")
    assert second.status_code == 409
    assert "acknowledged by apikey:program" in second.json()["error"]["message"]
    assert program.post(f"/{fired.pk}/take-back").json()["acknowledged_at"] is None
    assert program.post(f"/{fired.pk}/assign", {"assignee": "ana@example.com"}).json()["assignee"] == "ana@example.com"
    assert program.post(f"/{fired.pk}/note", {"text": "the disk of gw-1"}).status_code == 200
    assert program.post(f"/{fired.pk}/snooze", {"until": until}).json()["snoozed_until"] is not None
    assert program.post(f"/{fired.pk}/snooze", {"until": None}).json()["snoozed_until"] is None
    kinds = ["acknowledged", "acknowledgement_taken_back", "assigned", "noted", "snoozed", "snoozed"]
    assert list(EpisodeEvent.objects.order_by("pk").values_list("kind", flat=True)) == kinds
    assert AuditEntry.objects.filter(target=f"alert:{fired.pk}", actor="program").count() == len(kinds)


def test_a_resolved_alert_says_what_its_end_stands_on(program: Program, fired: Episode, sender: Sender) -> None:
    sender.tell(body(alert(status="resolved", ends=after(minutes=4), labels={"service": "midtrans"})), after(minutes=5))
    Episode.objects.update(state="resolved", resolved_at=after(minutes=10), proof=[["told_by_source", True]])
    read = program.get(f"/{fired.pk}").json()
    assert read["proof"] == [{"what": "told_by_source", "holds": True}]
    assert program.post(f"/{fired.pk}/acknowledge").status_code == 409
    assert program.post(f"/{fired.pk}/snooze", {"until": "2100-01-01T00:00:00Z"}).status_code == 409


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("/1/acknowledge", {"until": "2001-01-01T00:00:00Z"}, 422),
        ("/1/acknowledge", {"until": "tomorrow"}, 422),
        ("/1/note", {"text": "   "}, 422),
        ("/1/note", {}, 422),
        ("/1/assign", {"assignee": "two\nlines"}, 422),
        ("/1/snooze", {}, 422),
        ("/1/snooze", {"until": None}, 409),
        ("/1/take-back", None, 409),
        ("/999/acknowledge", None, 404),
        ("/999/snooze", {"until": "2100-01-01T00:00:00Z"}, 404),
    ],
)
def test_what_cannot_be_done_is_said(program: Program, fired: Episode, path: str, sent: Any, status: int) -> None:
    answer = program.post(path.replace("/1/", f"/{fired.pk}/"), sent)
    assert answer.status_code == status, answer.content
    assert answer.json()["error"]["message"]
    assert not EpisodeEvent.objects.exists()


def test_a_key_needs_the_scope_and_no_tenant(fired: Episode) -> None:
    reader = Program("alerts:read")
    assert reader.get("").status_code == 200
    assert reader.post(f"/{fired.pk}/acknowledge").status_code == 403
    assert Program(tenant="-of-shop").get("").status_code == 403
    assert Client().get("/api/v1/alerts").status_code == 401
