"""Incidents over HTTP, and the news of them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts.services import create_key
from apps.alerts.models import Episode
from apps.alerts.retention import prune_all
from apps.core.actor import SYSTEM
from apps.core.db import database_now
from apps.incidents import services
from apps.incidents.models import Incident
from apps.incidents.signals import incident_changed
from tests.incidents.conftest import episode, over, service


class Program:
    def __init__(self, *scopes: str, tenant: str = "") -> None:
        key = create_key(name=f"p{len(scopes)}{tenant}", scopes=list(scopes), actor=SYSTEM, tenant_id=tenant).raw
        self.http, self.headers = Client(raise_request_exception=False), {"Authorization": f"Bearer {key}"}

    def get(self, path: str) -> tuple[int, Any]:
        answer = self.http.get(f"/api/v1{path}", headers=self.headers)
        return answer.status_code, json.loads(answer.content)

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        text = json.dumps(body)
        answer = self.http.post(f"/api/v1{path}", text, content_type="application/json", headers=self.headers)
        return answer.status_code, json.loads(answer.content)


@pytest.fixture
def program(db: None) -> Program:
    return Program("incidents:read", "incidents:work")


def test_a_program_opens_updates_and_resolves_one(program: Program) -> None:
    service("midtrans")
    row = episode(service="midtrans")
    status, made = program.post("/incidents", {"title": "Cannot pay", "severity": "sev1", "alerts": [row.pk]})
    assert status == 201
    assert (made["origin"], made["alerts"], made["services"]) == ("alerts", [row.pk], ["midtrans"])
    assert made["acknowledged_at"] is None
    path = f"/incidents/{made['id']}"
    status, said = program.post(f"{path}/updates", {"text": "It is the pool.", "state": "identified"})
    assert (status, said["state"]) == (201, "identified")
    status, done = program.post(f"{path}/resolve", {})
    assert (status, done["state"]) == (200, "resolved")
    assert [each["kind"] for each in done["updates"]] == ["resolved", "said", "opened"]
    assert program.post(f"{path}/resolve", {})[0] == 409
    assert program.get(path)[1]["resolved_at"] == done["resolved_at"]


def test_an_alert_of_another_incident_is_a_conflict_that_names_it(program: Program) -> None:
    row = episode()
    first = services.open_incident(actor=SYSTEM, title="first", severity="sev2", episode_ids=[row.pk])
    status, refused = program.post("/incidents", {"title": "x", "severity": "sev2", "alerts": [row.pk]})
    assert (status, refused["error"]["detail"]) == (409, {"incident": first.pk})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": "x"},
        {"title": "", "severity": "sev1"},
        {"title": "x", "severity": "sev0"},
        {"title": "a\nb", "severity": "sev1"},
        {"title": "x", "severity": "sev1", "alerts": [404]},
        {"title": "x", "severity": "sev1", "services": ["nowhere"]},
        {"title": "x", "severity": "sev1", "started_at": "2999-01-01T00:00:00Z"},
        {"title": "x", "severity": "sev1", "unknown": 1},
        {"title": "\u202e", "severity": "sev1"},
    ],
)
def test_what_makes_no_sense_is_refused_whole(program: Program, body: dict[str, Any]) -> None:
    status, answer = program.post("/incidents", body)
    assert status == 422, answer
    assert not Incident.objects.exists()


def test_the_list_is_filtered_and_paged(program: Program) -> None:
    made = [services.open_incident(actor=SYSTEM, title=f"case {n}", severity="sev2") for n in range(3)]
    services.resolve(incident_id=made[0].pk, actor=SYSTEM)
    assert [row["id"] for row in program.get("/incidents?state=open")[1]["items"]] == [made[2].pk, made[1].pk]
    first = program.get("/incidents?limit=2")[1]
    second = program.get(f"/incidents?limit=2&cursor={first['next_cursor']}")[1]
    assert [row["id"] for row in second["items"]] == [made[0].pk]
    assert program.get("/incidents?q=case%201")[1]["items"][0]["title"] == "case 1"
    assert program.get("/incidents/999")[0] == 404


def test_scopes_and_tenants_bound_a_key(db: None) -> None:
    reader, bound = Program("incidents:read"), Program("incidents:read", "incidents:work", tenant="toko-sari")
    assert reader.post("/incidents", {"title": "x", "severity": "sev1"})[0] == 403
    assert bound.get("/incidents")[0] == 403
    assert bound.post("/incidents", {"title": "x", "severity": "sev1"})[0] == 403


def test_an_alert_of_an_incident_is_kept_as_long_as_that(db: None) -> None:
    kept, gone = episode("kept"), episode("gone")
    services.open_incident(actor=SYSTEM, title="x", severity="sev2", episode_ids=[kept.pk])
    for row in (kept, gone):
        over(row, database_now())
    prune_all(database_now() + timedelta(days=10_000))
    assert list(Episode.objects.values_list("fingerprint", flat=True)) == ["kept"]


def test_news_is_told_when_it_is_committed(db: None, django_capture_on_commit_callbacks: Any) -> None:
    heard: list[tuple[int, str]] = []

    def listen(sender: object, incident_id: int, what: str, **_: Any) -> None:
        heard.append((incident_id, what))

    incident_changed.connect(listen)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            made = services.open_incident(actor=SYSTEM, title="x", severity="sev2")
            assert heard == []
        with django_capture_on_commit_callbacks(execute=True):
            services.resolve(incident_id=made.pk, actor=SYSTEM)
    finally:
        incident_changed.disconnect(listen)
    assert heard == [(made.pk, "opened"), (made.pk, "resolved")]
