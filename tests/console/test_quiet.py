"""Silences and maintenance windows, made and ended in the browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.alerts.models import AlertSource, Episode, Maintenance, Silence
from apps.core.db import database_now

Person = Callable[[str], Client]
HTMX = {"HX-Request": "true"}


def plan(client: Client, **given: str) -> Any:
    good = {"match": "service = midtrans\nseverity = critical\nseverity=warning", "reason": "new cable", "lasts": "1h"}
    return client.post("/alerts/quiet/maintenance/new", {**good, **given})


def test_a_window_is_planned_shown_and_ended(night: None, person: Person) -> None:
    operator = person("operator")
    assert plan(operator).status_code == 302
    made = Maintenance.objects.order_by("-pk")[0]
    assert made.match == {"service": "midtrans", "severity": ["critical", "warning"]}
    assert abs(made.ends_at - made.starts_at - timedelta(hours=1)) < timedelta(seconds=30)
    page = operator.get("/alerts/quiet").content.decode()
    assert f"/alerts/quiet/maintenance/{made.pk}" in page
    assert "critical | warning" in page
    operator.post(f"/alerts/quiet/maintenance/{made.pk}/end", {"reason": "done"})
    made.refresh_from_db()
    assert made.ended_at is not None
    again = operator.post(f"/alerts/quiet/maintenance/{made.pk}/end", {"reason": "done"}, headers=HTMX)
    assert "is over" in again.content.decode()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"match": "midtrans"}, "Line 1 is not"),
        ({"match": "service = ~("}, "is no pattern"),
        ({"lasts": "custom"}, "Say until when"),
        ({"reason": ""}, "Say why"),
        ({"begins": "yesterday"}, "valid"),
    ],
)
def test_what_makes_no_sense_is_said_at_its_field(
    night: None, person: Person, given: dict[str, str], said: str
) -> None:
    before = Maintenance.objects.count()
    answer = plan(person("operator"), **given)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert Maintenance.objects.count() == before


def test_the_number_of_held_pages_leads_to_their_alerts(night: None, person: Person) -> None:
    viewer = person("viewer")
    window = Maintenance.objects.order_by("pk")[0]
    assert "2 pages" in viewer.get("/alerts/quiet").content.decode()
    page = viewer.get(f"/alerts/quiet/maintenance/{window.pk}").content.decode()
    for episode in Episode.objects.filter(name="NodeDown"):
        assert f'href="/alerts/{episode.pk}"' in page


def test_an_alert_is_silenced_and_its_silence_changed_and_ended(night: None, person: Person) -> None:
    operator = person("operator")
    episode = Episode.objects.get(name="WhatsappSlow")
    form = operator.get(f"/alerts/quiet/silences/new?alert={episode.pk}").content.decode()
    assert f'value="{episode.pk}" selected' in form
    sent = {"alert": str(episode.pk), "reason": "known", "lasts": "4h"}
    assert operator.post("/alerts/quiet/silences/new", sent).status_code == 302
    made = Silence.objects.get(episode=episode)
    assert made.state == "wanted"
    operator.post(f"/alerts/quiet/silences/{made.pk}/extend", {"lasts": "8h"})
    made.refresh_from_db()
    assert made.until > database_now() + timedelta(hours=7)
    operator.post(f"/alerts/quiet/silences/{made.pk}/end")
    made.refresh_from_db()
    assert made.state == "ending"
    # It can be chosen once only.
    assert f'value="{episode.pk}"' not in operator.get("/alerts/quiet/silences/new").content.decode()


def test_without_an_api_the_page_says_what_to_do(night: None, person: Person) -> None:
    AlertSource.objects.update(api_url="")
    operator = person("operator")
    assert "silences/new" not in operator.get("/alerts/quiet").content.decode()
    answer = operator.get("/alerts/quiet/silences/new")
    assert answer.status_code == 409
    assert "API address" in answer.content.decode()


def test_a_trouble_with_alertmanager_is_shown(night: None, person: Person) -> None:
    page = person("viewer").get("/alerts/quiet").content.decode()
    assert "answered 503" in page
    assert "Not yet silent" in page
    assert "silence 3f6c1a52" in page  # made elsewhere


def test_texts_from_outside_stay_texts(night: None, person: Person) -> None:
    operator = person("operator")
    plan(operator, match="x = <script>alert(1)</script>", reason="<img src=x>")
    page = operator.get("/alerts/quiet").content.decode()
    assert "<script>alert(1)" not in page
    assert "<img src=x>" not in page
