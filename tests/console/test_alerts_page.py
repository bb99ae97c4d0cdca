"""One alert: what is going on, who is next, how sure the end is, and why somebody was told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from apps.alerts.models import AlertDelivery, AlertLog, AlertSource, Episode, EpisodeEvent, Notification
from apps.core.clock import now
from apps.incidents.models import Incident, IncidentEpisode
from apps.outbox.models import Message
from apps.postmortems.models import ActionItem, PostMortem
from apps.services.models import Service
from tests.console.test_alerts_list import escalate, make, text_of

Person = Callable[[str], Client]
pytestmark = pytest.mark.django_db
NASTY = '<script>alert(1)</script><img src=x onerror="alert(2)">'


def test_a_firing_alert_says_who_is_next_and_who_exactly_is_reached(person: Person) -> None:
    Service.objects.create(name="slack", channel="slack", settings={"url": "https://hooks.slack.example/x"})
    episode = make(severity="critical", at=now() - timedelta(minutes=5))
    escalate(episode, step=1, minutes=5)
    page = text_of(person("viewer"), f"/alerts/{episode.pk}")
    assert "Nobody has acknowledged it." in page
    assert "Next: pagerduty, alerts in" in page
    assert "#alerts through slack" in page
    assert "The target pagerduty is reached through pagerduty, which is no configured service." in page
    assert "10 min, unless somebody acknowledges it" in page


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"suppressed": True, "suppressed_by": ["silence 7"]}, "due and held by silence 7"),
        ({"snoozed_until": now() + timedelta(days=3)}, "due and held while it is snoozed"),
        ({"state": "recovering", "normal_since": now()}, "due and held while it recovers"),
    ],
)
def test_what_holds_a_page_is_said(person: Person, facts: dict[str, object], words: str) -> None:
    episode = make(**facts)
    escalate(episode, minutes=-1)
    assert words in text_of(person("viewer"), f"/alerts/{episode.pk}")


def test_an_acknowledged_alert_names_who_and_skips_the_steps_that_wait_for_it(person: Person) -> None:
    moment = now()
    episode = make(severity="critical", acknowledged_at=moment, acknowledged_by="ana@example.com")
    escalate(episode, step=1, minutes=8)
    page = text_of(person("viewer"), f"/alerts/{episode.pk}")
    assert "ana@example.com acknowledged it" in page
    assert "Next: cto, owner in" in page
    assert "not taken while ana@example.com has acknowledged it" in page


def test_a_recovery_counts_down_and_freezes_when_its_source_is_blind(person: Person) -> None:
    moment = now()
    episode = make(state="recovering", normal_since=moment - timedelta(seconds=108))
    client = person("viewer")
    assert "left until it counts as resolved" in text_of(client, f"/alerts/{episode.pk}")
    AlertSource.objects.update(blind_since=moment)
    page = text_of(client, f"/alerts/{episode.pk}")
    assert "frozen: eu1 is blind" in page
    assert "SOURCE BLIND" in page
    assert "left until" not in page
    assert "frozen: eu1 sends no heartbeat" in text_of(client, "/alerts")


WORDS = ("told_by_source", "normal_for", "source_alive", "confirmed_by_api")


@pytest.mark.parametrize(
    ("holds", "inferred", "badge", "said"),
    [
        ((True, True, True, True), False, "PROVEN", "the API confirms"),
        ((True, True, False, False), False, "UNCONFIRMED", "no heartbeat says that the source was watching"),
        ((False, True, True, True), True, "INFERRED", "its source never said so"),
    ],
)
def test_how_sure_the_end_is(person: Person, holds: tuple[bool, ...], inferred: bool, badge: str, said: str) -> None:
    proof = [list(pair) for pair in zip(WORDS, holds, strict=True)]
    episode = make(state="resolved", resolved_at=now(), proof=proof, inferred=inferred)
    page = text_of(person("viewer"), f"/alerts/{episode.pk}")
    assert badge in page
    assert said in page


def test_the_story_holds_posts_people_and_messages(person: Person) -> None:
    moment = now()
    slack = Service.objects.create(name="slack", channel="slack", settings={"url": "https://hooks.slack.example/x"})
    episode = make(at=moment - timedelta(minutes=9))
    running = escalate(episode, step=1)
    delivery = AlertDelivery.objects.create(source_id="eu1", body=b"{}", size=2, sha256="0" * 64)
    line = {"source": "eu1", "fingerprint": episode.fingerprint, "status": "firing", "name": "x", "severity": "warning"}
    for position, verdict in enumerate(["opened", "repeated", "repeated", "repeated"]):
        at = moment - timedelta(minutes=9 - position)
        AlertLog.objects.create(delivery=delivery, position=position, at=at, verdict=verdict, episode=episode, **line)
    EpisodeEvent.objects.create(episode=episode, at=moment, kind="noted", actor="ana@example.com", text="disk of db-2")
    message = Message.objects.create(service=slack, payload="x", status="SENT")
    told = {"target": "alerts", "service": "slack", "recipient": "#alerts", "outcome": "queued", "late_s": 14}
    times = {"planned_at": moment - timedelta(seconds=54), "decided_at": moment - timedelta(seconds=40)}
    Notification.objects.create(escalation=running, step=0, kind="page", message_id=message.pk, **told, **times)
    page = text_of(person("viewer"), f"/alerts/{episode.pk}")
    for words in (
        "It still fires, heard 3 times",
        "ana@example.com noted",
        "disk of db-2",
        "Told alerts · slack · #alerts",
        "14 s late",
    ):
        assert words in page, words


def test_hostile_text_is_harmless_and_nothing_in_it_is_invisible(person: Person) -> None:
    labels = {"alertname": NASTY, "__proto__": "x", "path": "\u202etxt.exe", "a\u200bb": "{{ 7*7 }}"}
    annotations = {
        "summary": f"{NASTY} \u202egpj\u202c",
        "runbook_url": "javascript:alert(1)",
        "dashboard_url": "https://grafana.example/d/1",
    }
    episode = make(NASTY, labels=labels, annotations=annotations, generator_url="javascript:alert(3)")
    escalate(episode)
    client = person("admin")
    for path in ("/alerts", "/alerts?group=name", f"/alerts/{episode.pk}", "/", "/find?q=script"):
        page = client.get(path).content.decode()
        assert "<script>alert" not in page, path
        assert "<img src=x" not in page, path
        assert 'href="javascript' not in page, path
        assert "\u202e" not in page, path
        assert "\u200b" not in page, path
    page = client.get(f"/alerts/{episode.pk}").content.decode()
    assert "⟨U+202E⟩" in page
    assert "javascript:alert(1)" in page  # shown, as text
    assert 'href="https://grafana.example/d/1" rel="noreferrer noopener"' in page


def test_five_hundred_labels_and_a_huge_value_do_not_break_the_page(person: Person) -> None:
    labels = {f"label_{number}": "v" for number in range(500)} | {"big": "x" * 65_536}
    episode = make(labels=labels, annotations={"summary": "y" * 65_536})
    response = person("viewer").get(f"/alerts/{episode.pk}")
    assert response.status_code == 200
    assert len(response.content) < 100_000
    assert len(person("viewer").get("/alerts").content) < 100_000


def test_episodes_of_one_alert_are_linked(person: Person) -> None:
    first = make(state="resolved", resolved_at=now(), fingerprint="f1")
    second = make(fingerprint="f1", previous=first)
    client = person("viewer")
    assert f'href="/alerts/{second.pk}"' in client.get(f"/alerts/{first.pk}").content.decode()
    page = client.get(f"/alerts/{second.pk}").content.decode()
    assert f'href="/alerts/{first.pk}"' in page
    assert "fired 2 times" in page


def incident_of(episode: Episode) -> Incident:
    moment = now()
    facts = {"severity": "sev1", "origin": "hand", "started_at": moment, "detected_at": moment}
    incident = Incident.objects.create(title="Orders fail", created_by="ana@example.com", **facts)
    IncidentEpisode.objects.create(incident=incident, episode=episode, added_at=moment, added_by="ana@example.com")
    return incident


def test_what_was_promised_last_time_and_is_overdue_bites(person: Person) -> None:
    earlier = make("PaymentErrors", service="midtrans", state="resolved", resolved_at=now())
    report = PostMortem.objects.create(incident=incident_of(earlier), title="Orders failed")
    due = now().date() - timedelta(days=9)
    ActionItem.objects.create(postmortem=report, text="Add a fallback", owner="budi@example.com", due=due)
    again = make("PaymentErrors", service="midtrans")
    page = text_of(person("viewer"), f"/alerts/{again.pk}")
    assert f"“Add a fallback” of PM-{report.pk} was due 9 days ago. Its owner is budi@example.com." in page
    ActionItem.objects.update(state="done")
    assert "overdue" not in text_of(person("viewer"), f"/alerts/{again.pk}")
    ActionItem.objects.update(state="open")
    other = make("PaymentErrors", service="smtp")
    assert "overdue" not in text_of(person("viewer"), f"/alerts/{other.pk}")


def test_incidents_it_belongs_to_are_linked(person: Person) -> None:
    episode = make()
    incident = incident_of(episode)
    assert f'href="/incidents/{incident.pk}"' in person("viewer").get(f"/alerts/{episode.pk}").content.decode()


def test_why_somebody_was_told_is_explained(night: None, person: Person) -> None:
    note = Notification.objects.filter(outcome="queued", escalation__route="critical", kind="page").first()
    assert note is not None
    page = text_of(person("viewer"), f"/alerts/{note.escalation.episode_id}/notifications/{note.pk}")
    for words in ("critical is the first route that it matches", "severity critical", "on time", "Taken for It fires"):
        assert words in page, words
    assert f"Why {note.target} was told" in page


def test_a_notification_of_another_alert_is_not_there(night: None, person: Person) -> None:
    note = Notification.objects.select_related("escalation").first()
    assert note is not None
    other = Episode.objects.exclude(pk=note.escalation.episode_id).first()
    assert other is not None
    client = person("viewer")
    assert client.get(f"/alerts/{other.pk}/notifications/{note.pk}").status_code == 404
    assert client.get("/alerts/99999999").status_code == 404
    assert client.get("/alerts/99999999999999999999999").status_code == 404


def test_an_incident_is_opened_from_an_alert_that_has_none(person: Person) -> None:
    episode = make()
    offered = f'hx-get="/incidents/new?alerts={episode.pk}"'
    assert offered not in person("viewer").get(f"/alerts/{episode.pk}").content.decode()
    assert offered in person("operator").get(f"/alerts/{episode.pk}").content.decode()
    moment = now()
    incident = Incident.objects.create(
        title="Shop", severity="sev2", origin="hand", started_at=moment, detected_at=moment
    )
    IncidentEpisode.objects.create(incident=incident, episode=episode, added_at=moment, added_by="ana")
    page = person("operator").get(f"/alerts/{episode.pk}").content.decode()
    assert offered not in page
    assert f"INC-{incident.pk}" in page
