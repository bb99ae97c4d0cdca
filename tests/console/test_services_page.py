"""The page of a service: what the breaker sees, who sees what, what happened, its settings and their versions."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.breakers.models import BreakerEvent, BreakerWorker, SharedBreaker
from apps.breakers.selectors import database_ms, snapshot
from apps.breakers.services import probe_now
from apps.core.actor import Actor
from apps.services.models import Service, ServiceVersion
from tests.conftest import make_service
from tests.console.conftest import make_person

Person = Callable[[str], Client]
OVERRIDE = "/services/midtrans/override"


def words(client: Client, path: str) -> str:
    """The page's text, one space between words."""
    page = client.get(path).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_window_is_drawn_with_its_thresholds(night: None, person: Person) -> None:
    page = person("viewer").get("/services/midtrans").content.decode()
    # Six of nine calls failed, of at least five, opens at half.
    assert 'class="window-bars"' in page
    gauges = re.findall(
        r'<rect class="(ok|failed)" width="([\d.]+)" y="2"[^>]*/><line class="mark" x1="([\d.]+)"', page
    )
    assert gauges == [("failed", "200.0", "150.0"), ("ok", "270.0", "150.0")]
    assert "9 in 10 s, 6 of them failed" in page


def test_each_worker_is_shown_with_its_part_and_the_epoch_it_has_seen(night: None, person: Person) -> None:
    BreakerWorker.objects.filter(worker="delivery@a-2").update(local_open={"midtrans": {"state": "OPEN"}})
    text = words(person("viewer"), "/services/midtrans")
    assert "delivery@b-1 0 0 40 behind by 1" in text
    assert "delivery@a-1 1 4 41" in text
    assert "open here only: OPEN" in text


def test_waiting_messages_are_shown_by_tenant(night: None, person: Person) -> None:
    page = person("viewer").get("/services/midtrans").content.decode()
    assert re.search(r'\?service=midtrans&amp;status=waiting&amp;tenant=[a-z0-9-]+">\d', page)


# --- "test now" ----------------------------------------------------------------------------------
def test_a_test_that_was_asked_for_says_how_it_ended(night: None, person: Person, lead: Actor) -> None:
    client = person("lead")
    assert "The next message is the test" not in words(client, "/services/midtrans")
    answer = client.post("/services/midtrans/test", follow=True)
    assert answer.status_code == 200
    assert "The next message is the test" in words(client, "/services/midtrans")

    breaker = SharedBreaker.objects.get(name="midtrans")
    detail = {"probe": {"worker": "delivery@a-1", "seconds": 0.2, "class": "http_503", "sample": "1"}, "wait": 300}
    BreakerEvent.objects.create(breaker=breaker, at=database_ms(), epoch=42, kind="reopened", detail=detail)
    text = words(client, "/services/midtrans")
    assert "The test failed: the breaker stays open" in text
    assert "HTTP 503 after 0.2 s, by delivery@a-1" in text

    probe_now(service="midtrans", actor=lead)
    detail = {"probe": {"worker": "delivery@a-1", "seconds": 0.2, "class": "", "sample": "1"}}
    BreakerEvent.objects.create(breaker=breaker, at=database_ms(), epoch=43, kind="closed", detail=detail)
    assert "The test succeeded: the breaker is closed" in words(client, "/services/midtrans")


# --- overriding from a stale page ----------------------------------------------------------------
def test_two_people_override_at_once_and_the_second_is_told(night: None, person: Person) -> None:
    mine, theirs = person("lead"), Client()
    theirs.force_login(make_person("operator", "other@example.com"))
    seen = re.search(r'name="seen_epoch" value="(\d+)"', theirs.get(f"{OVERRIDE}?action=force_closed").content.decode())
    assert seen is not None
    first = {"action": "force_open", "reason": "maintenance", "expires_in": "1800", "seen_epoch": seen[1]}
    assert mine.post(OVERRIDE, first).status_code == 302
    second = {"action": "force_closed", "reason": "it is fine", "expires_in": "900", "seen_epoch": seen[1]}
    answer = theirs.post(OVERRIDE, second)
    assert answer.status_code == 422
    assert "has changed since you looked: it is FORCED_OPEN now" in answer.content.decode()
    assert str(snapshot("midtrans").state) == "FORCED_OPEN"
    # The refused dialog shows the new state; pressing again is a decision about that.
    fresh = re.search(r'name="seen_epoch" value="(\d+)"', answer.content.decode())
    assert fresh is not None
    assert theirs.post(OVERRIDE, {**second, "seen_epoch": fresh[1]}).status_code == 302
    assert str(snapshot("midtrans").state) == "FORCED_CLOSED"


@pytest.mark.parametrize("missing", ["reason", "expires_in"])
def test_an_override_needs_a_reason_and_an_end(night: None, person: Person, missing: str) -> None:
    given = {"action": "force_open", "reason": "maintenance", "expires_in": "1800", "seen_epoch": "41"}
    given.pop(missing)
    assert person("lead").post(OVERRIDE, given).status_code == 422
    assert str(snapshot("midtrans").state) == "OPEN"


# --- history -------------------------------------------------------------------------------------
def test_the_whole_history_is_paged_and_every_event_has_a_page(night: None, person: Person) -> None:
    breaker = SharedBreaker.objects.get(name="smtp")
    BreakerEvent.objects.bulk_create(
        BreakerEvent(breaker=breaker, at=1_760_000_000_000 + step, epoch=step, kind="test_asked", actor=f"who-{step}")
        for step in range(60)
    )
    client = person("viewer")
    page = client.get("/services/smtp/history").content.decode()
    assert "who-59" in page
    assert "who-9<" not in page
    older = re.search(r'rel="next" href="(\?cursor=\d+)"', page)
    assert older is not None
    rest = client.get(f"/services/smtp/history{older[1]}").content.decode()
    assert "who-9<" in rest
    assert 'rel="next"' not in rest


def test_an_event_shows_what_it_was_decided_on(night: None, person: Person) -> None:
    event = BreakerEvent.objects.filter(breaker__name="midtrans", kind="opened").order_by("-id").first()
    assert event is not None
    text = words(person("viewer"), f"/services/midtrans/history/{event.pk}")
    assert "3 OK, 4 failed, 2 timed out" in text
    assert "delivery@a-1 3 4 2" in text
    assert person("viewer").get(f"/services/smtp/history/{event.pk}").status_code == 404


# --- settings ------------------------------------------------------------------------------------
def test_versions_show_who_changed_what_and_come_back(night: None, person: Person) -> None:
    client = person("lead")
    text = words(client, "/services/midtrans/settings/history")
    assert "Version 2 by lead@example.com" in text
    assert "breaker.error_threshold_percentage 40 50" in text
    path = "/services/midtrans/settings/history/1/restore"
    assert "breaker.error_threshold_percentage: 50 → 40" in words(client, path)
    assert client.post(path, {"reason": "", "seen_version": "2"}).status_code == 422
    assert client.post(path, {"reason": "calmer", "seen_version": "1"}).status_code == 422
    assert client.post(path, {"reason": "calmer", "seen_version": "2"}).status_code == 302
    service = Service.objects.get(pk="midtrans")
    assert (service.config_version, service.breaker["error_threshold_percentage"]) == (3, 40)
    assert ServiceVersion.objects.get(service=service, version=3).by == User.objects.get(role="lead").email
    # What is the same now cannot be brought back.
    assert "Nothing would change" in words(client, path)


def test_what_differs_from_the_file_is_said(night: None, person: Person) -> None:
    service = Service.objects.get(pk="midtrans")
    service.file_state = {
        "channel": "http", "settings": service.settings, "owner": "payments", "criticality": "critical",
        "breaker": {**service.breaker, "volume_threshold": 20}, "runbook_url": service.runbook_url,
    }  # fmt: skip
    service.save()
    client = person("viewer")
    assert "1 option differs" in words(client, "/services/midtrans")
    assert "breaker.volume_threshold 20 5" in words(client, "/services/midtrans/settings/history")


def test_a_service_that_has_just_been_made_has_its_page(night: None, person: Person) -> None:
    """By plain SQL, say: nobody is told, and what is remembered of all breakers for a second does not know it."""
    viewer = person("viewer")
    assert viewer.get("/services").status_code == 200
    make_service("newborn")
    assert "newborn" in words(viewer, "/services")
    page = viewer.get("/services/newborn")
    assert page.status_code == 200
    assert "CLOSED" in page.content.decode()
