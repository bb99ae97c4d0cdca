"""One condition at two severities; and a new member of a group that is acknowledged."""

from __future__ import annotations

import json

import pytest

from apps.alerts import work
from apps.alerts.escalating import escalate
from apps.alerts.models import Episode, Notification
from apps.alerts.settling import settle_all
from apps.core.actor import SYSTEM
from tests.alerts.conftest import NOON, Sender, after, alert, body
from tests.alerts.paging import arrived, make_channels, sent, sweep, texts

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def channels(db: None) -> None:
    make_channels()


def told_of(severity: str) -> list[str]:
    rows = Notification.objects.filter(escalation__episode__severity=severity, outcome="queued").order_by("pk")
    return [f"{row.kind} {row.target}" for row in rows]


def severe(severity: str, **more: object) -> dict[str, object]:
    return alert(labels={"severity": severity}, **more)


def test_a_warning_that_becomes_critical(sender: Sender) -> None:
    sender.tell(body(severe("warning")), NOON)
    escalate(NOON)
    sender.tell(body(severe("critical")), after(minutes=5))
    sweep(after(minutes=5), 60, every=30)
    assert told_of("warning") == ["page alerts"]
    assert told_of("critical") == ["page pagerduty", "page alerts"]
    lower, higher = Episode.objects.get(severity="warning"), Episode.objects.get(severity="critical")
    assert lower.outranked_by == higher
    assert lower.events.get().detail["by"] == higher.pk
    assert higher.events.get().kind == "outranks"
    # The lesser rule ends: nobody is told that all is well.
    sender.tell(body(severe("warning", status="resolved", ends=after(minutes=7))), after(minutes=7))
    settle_all(after(minutes=13))
    escalate(after(minutes=13))
    assert told_of("warning") == ["page alerts"]
    assert Episode.objects.get(severity="warning").state == "resolved"


def test_both_in_one_body_page_as_the_graver_one(sender: Sender) -> None:
    sender.tell(body(severe("warning"), severe("critical")), NOON)
    sweep(NOON, 60, every=30)
    assert told_of("warning") == []
    assert len(sent()) == 2


def test_when_the_graver_one_is_over_the_lesser_one_pages(sender: Sender) -> None:
    sender.tell(body(severe("warning"), severe("critical")), NOON)
    escalate(NOON)
    sender.tell(body(severe("critical", status="resolved", ends=after(minutes=2))), after(minutes=2))
    escalate(after(minutes=5))
    assert told_of("warning") == []
    settle_all(after(minutes=8))
    sweep(after(minutes=8), 10)
    assert told_of("warning") == ["page alerts"]


def test_other_labels_are_another_condition(sender: Sender) -> None:
    one = alert(labels={"severity": "warning", "instance": "a"})
    other = alert(labels={"severity": "critical", "instance": "b"})
    sender.tell(body(one, other), NOON)
    escalate(NOON)
    assert Episode.objects.filter(outranked_by__isnull=False).count() == 0
    assert len(sent()) == 3


def test_security_and_the_unknown_outrank_nothing(sender: Sender) -> None:
    sender.tell(body(severe("warning"), severe("security"), severe("odd")), NOON)
    escalate(NOON)
    assert len(sent()) == 3


def test_pagerduty_hears_of_the_end_of_the_lesser_one(sender: Sender) -> None:
    """It keeps an incident open until it is told."""
    sender.tell(body(severe("critical")), NOON)
    escalate(NOON)
    lower = Episode.objects.get()
    higher = Episode.objects.create(
        source=lower.source, fingerprint="f", name="x", severity="critical", state="firing", first_seen_at=NOON,
        last_fired_at=NOON,
    )  # fmt: skip
    Episode.objects.filter(pk=lower.pk).update(outranked_by=higher)
    sender.tell(body(severe("critical", status="resolved", ends=after(minutes=1))), after(minutes=1))
    settle_all(after(minutes=7))
    escalate(after(minutes=7))
    kinds = Notification.objects.filter(escalation__episode=lower, kind="resolved").values_list("target", flat=True)
    assert list(kinds) == ["pagerduty"]


def test_a_new_member_of_a_group_that_is_acknowledged_pages(sender: Sender) -> None:
    sender.tell(body(alert(labels={"instance": "a"})), NOON)
    escalate(NOON)
    work.acknowledge(episode_id=Episode.objects.get().pk, actor=SYSTEM)
    before = len(sent())
    sender.tell(body(alert(labels={"instance": "a"}), alert(labels={"instance": "b"})), after(minutes=1))
    escalate(after(minutes=1))
    assert len(sent()) == before + 2


def test_an_acknowledgement_is_told_to_pagerduty_and_slack_once(sender: Sender) -> None:
    sender.tell(body(alert()), NOON)
    escalate(NOON)
    arrived()
    episode = Episode.objects.get()
    work.acknowledge(episode_id=episode.pk, actor=SYSTEM)
    work.take_back(episode_id=episode.pk, actor=SYSTEM)
    work.acknowledge(episode_id=episode.pk, actor=SYSTEM)
    trigger, acknowledged = [json.loads(text) for text in texts("pagerduty")]
    assert acknowledged["event_action"] == "acknowledge"
    assert acknowledged["dedup_key"] == trigger["dedup_key"]
    assert "payload" not in acknowledged
    assert "Acknowledged by system:opsportal" in texts("slack")[1]
    assert len(sent()) == 4


def test_links_lead_to_the_alert_where_the_portal_is_known(sender: Sender, settings: object) -> None:
    settings.PUBLIC_URL = "https://ops.example.com"  # type: ignore[attr-defined]
    sender.tell(body(alert()), NOON)
    escalate(NOON)
    url = f"https://ops.example.com/alerts/{Episode.objects.get().pk}"
    assert json.loads(texts("pagerduty")[0])["links"][0]["href"] == url
    assert url in texts("slack")[0]
