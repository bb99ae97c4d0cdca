"""A page that does not arrive brings the next step forward, or goes to somebody else; once."""

from __future__ import annotations

import pytest

from apps.alerts import bounced, conditions, work
from apps.alerts.escalating import escalate
from apps.alerts.models import Episode, Escalation, Fate, Notification
from apps.alerts.nudge import nudge_now
from apps.core.actor import SYSTEM
from apps.outbox.models import DeadLetter, Message
from apps.outbox.signals import message_died
from tests.alerts.conftest import NOON, Sender, after, alert, body
from tests.alerts.paging import age, arrived, died, make_channels, pages, sent, settle, texts
from tests.conftest import make_service

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def channels(db: None) -> None:
    make_channels()


def fires(sender: Sender, severity: str = "critical") -> Episode:
    sender.tell(body(alert(labels={"severity": severity})), NOON)
    escalate(NOON)
    return Episode.objects.get()


def test_what_arrived_is_written_down(sender: Sender) -> None:
    fires(sender)
    arrived()
    escalate(after(seconds=5))
    fates = Notification.objects.values_list("fate", "fate_at")
    assert set(fates) == {("sent", after(seconds=5))}
    assert len(sent()) == 2


@pytest.mark.parametrize("status", ["DLQ", "EXPIRED", "CANCELLED"])
def test_a_dead_page_brings_the_next_step_forward_once(sender: Sender, status: str) -> None:
    episode = fires(sender)
    arrived(service="slack")
    settle(status, service="pagerduty")
    for seconds in (5, 10, 15):
        escalate(after(seconds=seconds))
    assert [step for step, _, _ in pages()] == [0, 0, 1, 1]
    assert Notification.objects.get(step=0, target="pagerduty").fate == Fate.DIED
    event = episode.events.get(kind="page_failed")
    assert event.detail["target"] == "pagerduty"
    # It dies again, but Slack was reached: nobody is woken any earlier.
    arrived(service="slack")
    died(service="pagerduty")
    escalate(after(seconds=20))
    assert Escalation.objects.get().next_at == after(minutes=30)


def test_while_nobody_is_reached_every_step_is_brought_forward(sender: Sender) -> None:
    fires(sender)
    for second in range(5, 60, 5):
        died(service="pagerduty")
        died(service="slack")
        escalate(after(seconds=second))
    assert ("smtp", "cto@example.com") in sent()


def test_both_pages_of_a_step_dying_is_one_step_not_two(sender: Sender) -> None:
    fires(sender)
    died()
    escalate(after(seconds=5))
    escalate(after(seconds=10))
    assert [step for step, _, _ in pages()] == [0, 0, 1, 1]


def test_without_a_further_step_somebody_else_is_told(sender: Sender) -> None:
    episode = fires(sender, "warning")
    assert sent() == [("slack", "#alerts")]
    died()
    escalate(after(seconds=5))
    assert sent()[1:] == [("pagerduty", "")]
    died()
    escalate(after(seconds=10))
    assert sent()[2][0] == "smtp"
    arrived()
    escalate(after(seconds=15))
    assert len(sent()) == 3
    assert [event.detail["then"] for event in episode.events.filter(kind="page_failed")] == ["pagerduty", "cto"]
    assert not bounced.nobody_reached(after(seconds=15)).exists()


def test_when_everybody_was_tried_it_is_said_that_nobody_knows(sender: Sender) -> None:
    episode = fires(sender, "warning")
    for second in range(5, 80, 5):
        died()
        escalate(after(seconds=second))
    assert [row.episode_id for row in bounced.nobody_reached(after(minutes=2))] == [episode.pk]
    assert episode.events.filter(kind="page_failed").last().detail["then"] == "nobody_left"  # type: ignore[union-attr]
    before = len(sent())
    escalate(after(minutes=3))
    assert len(sent()) == before
    assert [held.severity for held in conditions.page_not_delivered(after(minutes=3))] == ["critical"]
    work.acknowledge(episode_id=episode.pk, actor=SYSTEM)
    assert not bounced.nobody_reached(after(minutes=3)).exists()


def test_a_page_that_does_not_leave_for_a_minute_counts_as_not_arriving(sender: Sender) -> None:
    fires(sender)
    arrived(service="slack")
    age(61, service="pagerduty")
    escalate(after(seconds=61))
    escalate(after(seconds=62))
    assert [step for step, _, _ in pages()] == [0, 0, 1, 1]
    slow = Notification.objects.get(step=0, target="pagerduty")
    assert (slow.fate, slow.delayed_at) == (Fate.NONE, after(seconds=61))
    # In the end it dies as well: that is written down and changes nothing.
    died(pk=slow.message_id)
    escalate(after(seconds=70))
    slow.refresh_from_db()
    assert slow.fate == Fate.DIED
    assert len(pages()) == 4


def test_an_acknowledged_alert_is_not_told_again(sender: Sender) -> None:
    episode = fires(sender)
    work.acknowledge(episode_id=episode.pk, actor=SYSTEM)
    died()
    escalate(after(seconds=5))
    assert len(pages()) == 2


def test_a_storm_that_cannot_be_told_is_told_elsewhere_as_one(sender: Sender) -> None:
    many = [alert("W", labels={"severity": "warning", "n": str(n)}) for n in range(100)]
    sender.tell(body(*many), NOON)
    escalate(NOON)
    died()
    escalate(after(seconds=5))
    escalate(after(seconds=10))
    assert sent() == [("slack", "#alerts"), ("pagerduty", "")]
    assert "100 alerts of the route warning at once" in texts("pagerduty")[0]


def test_the_news_of_a_death_asks_for_a_look(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    fires(sender)
    asked: list[int] = []
    monkeypatch.setattr(bounced, "nudge_now", lambda: asked.append(1))
    make_service("other")
    page = Message.objects.get(service="pagerduty")
    other = Message.objects.create(service_id="other", body_template="x")
    letters = [
        DeadLetter.objects.create(message=message, service=message.service_id, cause_id="c", reason="permanent")
        for message in (other, page)
    ]
    message_died.send(sender=DeadLetter, service="other", dead_letter_ids=[letters[0].pk])
    assert asked == []
    message_died.send(sender=DeadLetter, service="pagerduty", dead_letter_ids=[letters[1].pk])
    assert asked == [1]
    assert nudge_now is not bounced.nudge_now


def test_a_message_that_was_pruned_before_it_was_looked_at_changes_nothing(sender: Sender) -> None:
    fires(sender)
    Message.objects.all().delete()
    escalate(after(seconds=5))
    assert set(Notification.objects.values_list("fate", flat=True)) == {Fate.GONE}
    assert len(pages()) == 2
