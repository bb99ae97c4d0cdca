"""Working alerts in the browser: one and many, undone, and two people at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.alerts import bulk
from apps.alerts.models import AlertSource, Episode, EpisodeEvent, Silence
from apps.audit.models import AuditEntry
from apps.core.actor import SYSTEM, Actor
from apps.core.clock import now
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from tests.console.test_alerts_list import escalate, make

Person = Callable[[str], Client]
pytestmark = pytest.mark.django_db
UNDO = re.compile(r'action="(/alerts/undo/\d+)"')


def press(client: Client, verb: str, *episodes: Episode, **fields: Any) -> Any:
    ids = [str(episode.pk) for episode in episodes]
    return client.post(f"/alerts/{verb}", {"ids": ids, "back": "/alerts", **fields})


def undo(client: Client) -> None:
    found = UNDO.search(client.get("/alerts").content.decode())
    assert found is not None
    assert client.post(found[1]).status_code == 302


def fresh(episode: Episode) -> Episode:
    return Episode.objects.get(pk=episode.pk)


def test_acknowledging_many_leaves_what_somebody_else_has_and_can_be_undone(person: Person) -> None:
    mine, over, gone = make(), make(acknowledged_at=now(), acknowledged_by="budi"), make(state="resolved")
    client = person("operator")
    assert press(client, "acknowledge", mine, over, gone, reason="at it").status_code == 302
    assert fresh(mine).acknowledged_by == "operator@example.com"
    assert fresh(over).acknowledged_by == "budi"
    assert fresh(gone).acknowledged_at is None
    event = EpisodeEvent.objects.get()
    assert (event.kind, event.actor, event.text) == ("acknowledged", "operator@example.com", "at it")
    assert AuditEntry.objects.filter(action="alert.acknowledged").count() == 1
    undo(client)
    assert fresh(mine).acknowledged_at is None
    assert fresh(over).acknowledged_by == "budi"


def test_the_second_of_two_people_reads_who_was_first(person: Person) -> None:
    episode = make()
    press(person("lead"), "acknowledge", episode)
    response = press(person("operator"), "acknowledge", episode)
    assert response.status_code == 409
    assert "DiskFull was acknowledged by lead@example.com already" in response.content.decode()


def test_an_undo_of_what_somebody_changed_since_does_nothing(person: Person) -> None:
    episode, client = make(), person("operator")
    press(client, "acknowledge", episode)
    Episode.objects.update(acknowledged_by="budi")
    undo(client)
    assert fresh(episode).acknowledged_by == "budi"
    assert "nothing left to undo" in client.get("/alerts").content.decode()


def test_everything_that_is_filtered_is_meant_on_every_page(person: Person) -> None:
    made = [make("Cpu", severity="critical") for _ in range(60)] + [make("Ram")]
    client = person("operator")
    sent = {"every_page": "1", "f_severity": "critical", "f_name": "Cpu", "back": "/alerts"}
    assert "Acknowledge 60 alerts" in client.get("/alerts/acknowledge", sent).content.decode()
    assert client.post("/alerts/acknowledge", sent).status_code == 302
    assert Episode.objects.filter(acknowledged_at__isnull=False).count() == 60
    assert fresh(made[-1]).acknowledged_at is None
    undo(client)
    assert not Episode.objects.filter(acknowledged_at__isnull=False).exists()


def test_an_acknowledgement_may_end_by_itself(person: Person) -> None:
    episode, client = make(), person("operator")
    press(client, "acknowledge", episode, ends="2h")
    until = fresh(episode).acknowledged_until
    assert until is not None
    assert timedelta(minutes=119) < until - now() <= timedelta(hours=2)
    response = press(client, "acknowledge", make(), ends="custom")
    assert response.status_code == 422
    assert "Say until when." in response.content.decode()
    assert press(client, "acknowledge", make(), ends="custom", until="2001-01-01T00:00").status_code == 422


def test_a_silence_is_offered_where_its_alertmanager_can_be_told(person: Person) -> None:
    episode, client = make(), person("operator")
    path = f"/alerts/acknowledge?ids={episode.pk}"
    assert "Also silence it" not in client.get(path).content.decode()
    AlertSource.objects.update(api_url="http://alertmanager.example:9093")
    assert "Also silence it" in client.get(path).content.decode()
    assert press(client, "acknowledge", episode, silence="4h", reason="planned").status_code == 302
    silence = Silence.objects.get()
    assert (silence.episode_id, silence.created_by, silence.reason) == (episode.pk, "operator@example.com", "planned")
    assert timedelta(hours=3) < silence.until - now() <= timedelta(hours=4)


def test_assigning_and_its_undo_restore_who_had_it(person: Person) -> None:
    first, second = make(assignee="budi@example.com"), make()
    client = person("operator")
    press(client, "assign", first, second, to="operator@example.com")
    assert {fresh(first).assignee, fresh(second).assignee} == {"operator@example.com"}
    undo(client)
    assert (fresh(first).assignee, fresh(second).assignee) == ("budi@example.com", "")
    assert press(client, "assign", first, to="nobody@nowhere").status_code == 422


def test_snoozing_and_waking(person: Person) -> None:
    episode, client = make(), person("operator")
    assert press(client, "snooze", episode, snooze="1", reason="renewed tomorrow").status_code == 302
    assert fresh(episode).snoozed_until is not None
    assert client.post(f"/alerts/{episode.pk}/wake").status_code == 302
    assert fresh(episode).snoozed_until is None
    client.post(f"/alerts/{episode.pk}/wake")
    assert "is not snoozed" in client.get("/alerts").content.decode()


def test_taking_back_and_noting(person: Person) -> None:
    episode, client = make(acknowledged_at=now(), acknowledged_by="budi"), person("operator")
    escalate(episode)
    assert client.post(f"/alerts/{episode.pk}/take-back").status_code == 302
    assert fresh(episode).acknowledged_at is None
    assert client.post(f"/alerts/{episode.pk}/note", {"text": "  "}).status_code == 422
    assert client.post(f"/alerts/{episode.pk}/note", {"text": "the disk of gw-1"}).status_code == 302
    assert "the disk of gw-1" in client.get(f"/alerts/{episode.pk}").content.decode()


def test_nothing_is_meant_by_nothing(person: Person) -> None:
    client = person("operator")
    assert client.get("/alerts/acknowledge").status_code == 422
    assert client.get("/alerts/acknowledge?ids=x").status_code == 422
    assert client.post("/alerts/acknowledge", {"ids": ["999999"]}).status_code == 404


def test_a_viewer_sees_and_presses_nothing(person: Person) -> None:
    episode, client = make(), person("viewer")
    page = client.get(f"/alerts/{episode.pk}").content.decode() + client.get("/alerts").content.decode()
    assert "/alerts/acknowledge" not in page.replace('action="/alerts/acknowledge"', "")
    assert "data-select" not in page
    assert press(client, "acknowledge", episode).status_code == 403
    assert fresh(episode).acknowledged_at is None


def test_the_back_of_a_dialog_is_one_of_our_pages(person: Person) -> None:
    response = press(person("operator"), "acknowledge", make(), back="//evil.example/x")
    assert response.headers["Location"] == "/alerts"


def test_the_service_layer_refuses_too(db: None) -> None:
    episode = make()
    with pytest.raises(Forbidden):
        bulk.acknowledge(ids=[episode.pk], actor=Actor("person", "viewer@example.com"))
    with pytest.raises(Invalid):
        bulk.acknowledge(ids=list(range(1, 2100)), actor=SYSTEM)
    with pytest.raises(NotFound):
        bulk.assign(ids=[], actor=SYSTEM, assignee="x")
    with pytest.raises(Invalid):
        bulk.assign(ids=[episode.pk], actor=SYSTEM, assignee="two\nlines")
    done = bulk.snooze(ids=[episode.pk], actor=SYSTEM, until=now() + timedelta(hours=1))
    with pytest.raises(NotFound):
        bulk.undo(entry_id=done.entry, actor=Actor("person", "else@example.com", SYSTEM.permissions))
    bulk.undo(entry_id=done.entry, actor=SYSTEM)
    with pytest.raises(Conflict):
        bulk.undo(entry_id=done.entry, actor=SYSTEM)
