"""What is old goes, in small batches; what is open or cited stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.alerts import retention
from apps.alerts.escalating import escalate
from apps.alerts.models import (
    AlertDelivery,
    AlertLog,
    AlertSource,
    Episode,
    Escalation,
    Maintenance,
    Notification,
    SourceHour,
    Storm,
)
from apps.alerts.settling import settle_all
from apps.incidents.models import Incident, IncidentEpisode
from tests.alerts.conftest import NOON, Sender, after, alert, body
from tests.alerts.paging import make_channels

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(days=500)


@pytest.fixture(autouse=True)
def channels(db: None) -> None:
    make_channels()


def over(sender: Sender, name: str) -> Episode:
    sender.tell(body(alert(name)), NOON)
    escalate(NOON)
    sender.tell(body(alert(name, status="resolved", ends=after(minutes=1))), after(minutes=1))
    settle_all(after(minutes=7))
    escalate(after(minutes=7))
    return Episode.objects.get(name=name)


def cite(episode: Episode) -> None:
    incident = Incident.objects.create(title="x", severity="sev2", origin="hand", started_at=NOON, detected_at=NOON)
    IncidentEpisode.objects.create(incident=incident, episode=episode, added_at=NOON, added_by="ana")


def test_old_alerts_go_with_their_story_and_open_or_cited_ones_stay(sender: Sender) -> None:
    over(sender, "Old")
    cite(over(sender, "Cited"))
    sender.tell(body(alert("Open")), NOON)
    done = retention.prune_all(LATER)
    assert sorted(Episode.objects.values_list("name", flat=True)) == ["Cited", "Open"]
    assert Escalation.objects.filter(episode__name="Old").count() == 0
    assert sorted(set(AlertLog.objects.values_list("name", flat=True))) == ["Cited", "Open"]
    # Only the body that tells of the open alert is left; the lines of the cited one stay without theirs.
    assert AlertDelivery.objects.count() == 1
    assert (done["bodies"], done["alerts"], done["lines"]) == (4, 1, 2)
    assert retention.prune_all(LATER) == dict.fromkeys(done, 0)


def test_bodies_go_before_their_alerts(sender: Sender) -> None:
    over(sender, "Old")
    retention.prune_all(NOON + timedelta(days=31))
    assert AlertDelivery.objects.count() == 0
    assert AlertLog.objects.count() == 2
    assert Notification.objects.count() == 4


def test_what_is_not_yet_processed_stays(sender: Sender) -> None:
    sender.post(body(alert()))
    AlertDelivery.objects.update(received_at=NOON)
    retention.prune_all(LATER)
    assert AlertDelivery.objects.count() == 1


def test_zero_keeps_for_ever(sender: Sender, settings: Any) -> None:
    settings.KEEP_ALERTS_DAYS = settings.KEEP_ALERT_BODIES_DAYS = 0
    over(sender, "Old")
    retention.prune_all(LATER)
    assert (Episode.objects.count(), AlertDelivery.objects.count()) == (1, 2)


def test_in_small_batches_and_past_what_is_cited(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "BATCHES", 2)
    for number in range(3):
        cite(over(sender, f"Cited{number}"))
    for number in range(7):
        over(sender, f"Old{number}")
    assert retention.prune_all(LATER)["alerts"] == 4
    assert retention.prune_all(LATER)["alerts"] == 3
    assert Episode.objects.count() == 3


def test_an_alert_that_is_cited_while_it_is_looked_at(sender: Sender) -> None:
    episode = over(sender, "Old")
    old = retention.old_episodes(LATER)
    cite(episode)
    assert retention._deleted(old, [episode.pk]) == 0
    assert Episode.objects.count() == 1


def test_windows_and_storms_too() -> None:
    Maintenance.objects.create(match={"a": "b"}, starts_at=NOON, ends_at=after(hours=1), reason="x", created_by="ana")
    times = {"opened_at": NOON, "joined_at": NOON, "told_at": NOON, "closed_at": NOON, "ended_at": NOON}
    Storm.objects.create(policy="1:critical", route="critical", step=0, **times)
    done = retention.prune_all(LATER)
    assert (done["windows"], done["storms"]) == (1, 1)


def test_hours_of_a_source_go_with_its_alerts_and_newer_ones_stay(sender: Sender) -> None:
    sender.tell(body(alert("Old")), NOON)
    counted = SourceHour.objects.get()
    SourceHour.objects.filter(pk=counted.pk).update(hour=NOON)
    newer = SourceHour.objects.create(source=counted.source, hour=NOON + timedelta(days=120))
    assert retention.prune_all(LATER)["hours"] == 1
    assert list(SourceHour.objects.all()) == [newer]
    assert AlertSource.objects.filter(pk=counted.source_id).exists()
