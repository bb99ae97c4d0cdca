"""Many alerts at once, over several sweeps, are one page for each target of their route."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from apps.alerts import storming, work
from apps.alerts.escalating import escalate
from apps.alerts.models import Episode, Notification, Storm
from apps.alerts.services import create_source
from apps.alerts.settling import settle_all
from apps.core.actor import SYSTEM
from apps.outbox.models import Message
from tests.alerts.conftest import NOON, Sender, after, alert, body
from tests.alerts.paging import answered, arrived, make_channels, sent, sweep, texts

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def channels(db: None) -> None:
    make_channels()


def many(first: int, count: int, **more: object) -> bytes:
    return body(*[alert(f"A{n % 3}", labels={"instance": str(n)}, **more) for n in range(first, first + count)])


def analyzed() -> None:
    """As autovacuum does within a minute; into a test's transaction it cannot look, and plans stay those of nothing."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE alert_episode, alert_escalation, alert_notification, notification_outbox")


def test_a_thousand_in_ten_seconds_are_one_page_for_each_target(sender: Sender) -> None:
    """A hundred each second, a sweep every two seconds: one page and, when the storm goes on, one update."""
    for second in range(10):
        sender.tell(many(second * 100, 100), after(seconds=second))
        if second % 2:
            escalate(after(seconds=second))
    analyzed()
    sweep(after(seconds=10), 100, every=10)
    assert sent() == [("pagerduty", ""), ("slack", "#alerts")]
    sweep(after(seconds=115), 300, every=15)
    assert sent() == [("pagerduty", ""), ("slack", "#alerts")] * 2
    first, update = texts("slack")
    assert "200 alerts of the route critical at once" in first
    assert "1000 alerts of the route critical at once, 800 of them new" in update
    assert "A0: 334" in update
    assert Notification.objects.count() == 2000
    assert not Notification.objects.filter(message_id__isnull=True).exists()


def test_the_update_is_of_the_same_incident_and_in_the_same_thread(sender: Sender) -> None:
    sender.tell(many(0, 20), NOON)
    escalate(NOON)
    message = Message.objects.get(service="slack")
    answered(message, '{"ok": true, "ts": "1700000000.000100"}')
    sender.tell(many(20, 20), after(seconds=5))
    sweep(after(seconds=5), 150)
    keys = {json.loads(text)["dedup_key"] for text in texts("pagerduty")}
    assert len(keys) == 1
    assert json.loads(texts("slack")[1])["thread_ts"] == "1700000000.000100"


def test_a_slow_stream_becomes_a_storm_too(sender: Sender) -> None:
    """Eight in each sweep are never more than ten at once, and yet too many."""
    for n in range(4):
        sender.tell(many(n * 8, 8), after(seconds=5 * n))
        escalate(after(seconds=5 * n))
    assert len(sent()) == 16 + 2


def test_routes_do_not_mix(sender: Sender) -> None:
    sender.tell(many(0, 20), NOON)
    sender.tell(body(*[alert("W", labels={"severity": "warning", "n": str(n)}) for n in range(20)]), NOON)
    escalate(NOON)
    assert sent() == [("pagerduty", ""), ("slack", "#alerts"), ("slack", "#alerts")]
    assert Storm.objects.count() == 2


def test_the_next_step_of_a_storm_is_one_page_too(sender: Sender) -> None:
    for second in range(0, 10, 5):
        sender.tell(many(second * 20, 100), after(seconds=second))
        escalate(after(seconds=second))
    sweep(after(seconds=10), 595)
    before = len(sent())
    sweep(after(minutes=10, seconds=10), 5)
    # Two targets; those that fell due five seconds later wait for the update.
    assert len(sent()) - before <= 2
    assert Storm.objects.filter(step=1).count() == 1


def test_after_a_calm_an_alert_is_told_by_itself_again(sender: Sender) -> None:
    sender.tell(many(0, 20), NOON)
    sweep(NOON, 320)
    before = len(sent())
    sender.tell(body(alert("Other")), after(minutes=6))
    escalate(after(minutes=6))
    assert len(sent()) == before + 2
    assert "Other is bad" in texts("slack")[-1]


def test_the_end_of_a_storm_is_told_once_and_closes_the_incident(sender: Sender) -> None:
    sender.tell(many(0, 20), NOON)
    sweep(NOON, 320, every=20)
    sender.tell(many(0, 20, status="resolved", ends=after(minutes=6)), after(minutes=6))
    settle_all(after(minutes=12))
    for second in (0, 5, 10):
        escalate(after(minutes=12, seconds=second))
    events = [json.loads(text) for text in texts("pagerduty")]
    assert [event["event_action"] for event in events] == ["trigger", "resolve"]
    assert events[0]["dedup_key"] == events[1]["dedup_key"]
    assert "All 20 alerts of the route critical are over" in texts("slack")[-1]


def test_whoever_acknowledged_is_not_counted_in(sender: Sender) -> None:
    """The second step of a storm is about those that nobody is at."""
    sender.tell(many(0, 20), NOON)
    sweep(NOON, 320, every=20)
    arrived()
    for episode in Episode.objects.order_by("pk")[:15]:
        work.acknowledge(episode_id=episode.pk, actor=SYSTEM)
    before = len(sent())
    escalate(after(minutes=10))
    assert len(sent()) - before == 5 * 2
    assert Notification.objects.filter(step=1, outcome="skipped").count() == 30


def test_killed_between_gathering_and_telling(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_: object) -> None:
        raise KeyboardInterrupt

    sender.tell(many(0, 20), NOON)
    with monkeypatch.context() as patch:
        patch.setattr(storming, "go_on", killed)
        with pytest.raises(KeyboardInterrupt):
            escalate(NOON)
    assert sent() == []
    escalate(after(seconds=5))
    escalate(after(seconds=10))
    assert sent() == [("pagerduty", ""), ("slack", "#alerts")]


@pytest.mark.django_db(transaction=True)
def test_four_sweepers_at_once_open_one_storm() -> None:
    made = create_source(name="eu2", actor=SYSTEM)
    Sender(made.source, made.token).tell(many(0, 300), NOON)

    def sweep(_: int) -> None:
        try:
            for second in range(0, 30, 5):
                escalate(after(seconds=second))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        for sweeper in [pool.submit(sweep, number) for number in range(4)]:
            sweeper.result()
    escalate(after(minutes=3))
    storm = Storm.objects.get()
    # A sweeper that found no more than a few rows left before the storm was there has told them one by one.
    alone = 300 - storm.alerts
    assert 0 <= alone <= 3 * storming.STORM
    assert storm.told_alerts == storm.alerts
    assert Notification.objects.filter(message_id__isnull=False).count() == 600
    # One message for each target, and at most one update of each.
    assert len(sent()) - 2 * alone in (2, 4)
