"""Who is told, when, and never twice: driven through the sweep with the clock handed in."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.alerts import work
from apps.alerts.episodes import State
from apps.alerts.escalating import escalate
from apps.alerts.models import Episode, Escalation, Notification
from apps.alerts.policies import save_routing
from apps.alerts.routing import DEFAULT
from apps.alerts.settling import settle_all
from apps.core.actor import SYSTEM, Actor
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.outbox.models import Message
from tests.alerts.conftest import NOON, Sender, after, alert, body
from tests.conftest import make_service

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def channels(db: None) -> None:
    make_service("pagerduty", channel="pagerduty", settings={})
    make_service("slack", channel="slack", settings={"mode": "api", "channel": "#alerts"})
    make_service("smtp", channel="email", settings={"host": "127.0.0.1", "from_address": "ops@example.com"})
    make_service("midtrans", owner="payments")
    document = {**DEFAULT, "owners": {"payments": "payments-team"}}
    document["targets"] = {
        **DEFAULT["targets"],
        "cto": {"service": "smtp", "recipient": "cto@example.com"},
        "payments-team": {"service": "smtp", "recipient": "payments@example.com"},
    }
    save_routing(document=document, actor=SYSTEM, reason="test")


def told() -> list[tuple[int, str, str]]:
    return list(Notification.objects.values_list("step", "target", "outcome"))


def sent() -> list[tuple[str, str]]:
    return list(Message.objects.order_by("pk").values_list("service_id", "recipient"))


def pages() -> int:
    """Messages that tell of a step, not of an acknowledgement or an end."""
    return Notification.objects.filter(kind="page", outcome="queued").count()


def sweep_until(end: datetime, start: datetime = NOON) -> None:
    """As beat does, only less often; ``end`` itself is always swept."""
    at = start
    while at < end:
        escalate(at)
        at += timedelta(seconds=60)
    escalate(end)


def test_critical_pages_again_after_ten_minutes_and_goes_up_after_thirty(sender: Sender) -> None:
    sender.tell(body(alert(labels={"service": "midtrans"})), NOON)
    sweep_until(after(minutes=40))
    assert sent() == [
        ("pagerduty", ""),
        ("slack", "#alerts"),
        ("pagerduty", ""),
        ("slack", "#alerts"),
        ("smtp", "cto@example.com"),
        ("smtp", "payments@example.com"),
    ]
    planned = Notification.objects.values_list("step", "planned_at").distinct()
    assert set(planned) == {(0, NOON), (1, after(minutes=10)), (2, after(minutes=30))}


@pytest.mark.parametrize(
    ("severity", "service", "recipient"),
    [("warning", "slack", "#alerts"), ("security", "slack", "#security-alerts"), ("P9", "slack", "#alerts")],
)
def test_routes_by_severity_and_never_nowhere(sender: Sender, severity: str, service: str, recipient: str) -> None:
    sender.tell(body(alert(labels={"severity": severity})), NOON)
    sweep_until(after(hours=1))
    assert sent() == [(service, recipient)]


@pytest.mark.parametrize(("second", "paged"), [(599, 2), (601, 4)])
def test_an_acknowledgement_just_before_and_just_after_the_step(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, second: int, paged: int
) -> None:
    sender.tell(body(alert()), NOON)
    sweep_until(after(seconds=second))
    monkeypatch.setattr(work, "database_now", lambda: after(seconds=second))
    work.acknowledge(episode_id=Episode.objects.get().pk, actor=SYSTEM)
    sweep_until(after(minutes=20), after(seconds=second))
    assert pages() == paged
    assert Notification.objects.filter(kind="page").count() == 4  # what was not sent is written down as well


def test_unacknowledged_and_unresolved_are_two_things(sender: Sender) -> None:
    sender.tell(body(alert()), NOON)
    escalate(NOON)
    work.acknowledge(episode_id=Episode.objects.get().pk, actor=SYSTEM)
    sweep_until(after(minutes=31))
    assert ("smtp", "cto@example.com") in sent()


def test_an_acknowledgement_that_ends_begins_the_escalation_anew(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.tell(body(alert()), NOON)
    escalate(NOON)
    monkeypatch.setattr(work, "database_now", lambda: after(minutes=1))
    work.acknowledge(episode_id=Episode.objects.get().pk, actor=SYSTEM, until=after(minutes=15))
    sweep_until(after(minutes=14, seconds=55))
    assert pages() == 2
    sweep_until(after(minutes=24), after(minutes=15))
    assert pages() == 4
    assert Escalation.objects.get().cycle == 1
    kinds = Episode.objects.get().events.values_list("kind", flat=True)
    assert list(kinds) == ["acknowledged", "acknowledgement_ended"]


def test_a_sweeper_that_was_away_takes_each_step_once_and_says_how_late(sender: Sender) -> None:
    sender.tell(body(alert()), NOON)
    escalate(NOON)
    for seconds in (0, 5, 10):
        escalate(after(minutes=35, seconds=seconds))
    late = Notification.objects.filter(step=1).first()
    assert late is not None
    assert late.decided_at - late.planned_at == timedelta(minutes=25)
    assert [step for step, _, _ in told()] == [0, 0, 1, 1, 2, 2]


def test_a_clock_that_jumps_back_repeats_nothing(sender: Sender) -> None:
    sender.tell(body(alert()), NOON)
    sweep_until(after(minutes=11))
    before = len(sent())
    sweep_until(after(minutes=10), after(minutes=-60))
    assert len(sent()) == before


def test_recovering_holds_the_page_and_firing_again_tells_what_is_overdue(sender: Sender) -> None:
    sender.tell(body(alert()), NOON)
    escalate(NOON)
    sender.tell(body(alert(status="resolved", ends=after(minutes=9))), after(minutes=9))
    sweep_until(after(minutes=12), after(minutes=9))
    assert len(sent()) == 2
    sender.tell(body(alert(starts=after(minutes=13))), after(minutes=13))
    escalate(after(minutes=13))
    assert len(sent()) == 4


def test_the_end_is_told_to_whoever_was_told_of_the_start_and_ends_the_escalation(sender: Sender) -> None:
    sender.tell(body(alert()), NOON)
    escalate(NOON)
    sender.tell(body(alert(status="resolved", ends=after(minutes=1))), after(minutes=1))
    settle_all(after(minutes=6))
    sweep_until(after(minutes=40), after(minutes=6))
    assert sorted(sent()) == [("pagerduty", ""), ("pagerduty", ""), ("slack", "#alerts"), ("slack", "#alerts")]
    first, last = Message.objects.filter(service="pagerduty").order_by("pk")
    assert '"event_action":"resolve"' in (last.json or "").replace(" ", "")
    assert first.ordering_key == last.ordering_key
    assert Escalation.objects.get().ended_at == after(minutes=6)


def test_history_pages_nobody(sender: Sender) -> None:
    sender.tell(body(alert(status="resolved", ends=NOON)), NOON)
    sweep_until(after(minutes=1))
    assert told() == []


def test_a_thousand_at_once_are_one_message_per_target(sender: Sender) -> None:
    sender.tell(body(*[alert(f"A{n % 3}", labels={"instance": str(n)}) for n in range(1000)]), NOON)
    escalate(NOON)
    assert sent() == [("pagerduty", ""), ("slack", "#alerts")]
    text = Message.objects.get(service="slack").json or ""
    assert "1000 alerts of the route critical at once" in text
    assert "A0: 334" in text
    assert Notification.objects.count() == 2000


def test_a_step_that_reaches_nobody_goes_on_to_the_next_at_once_and_says_why(sender: Sender) -> None:
    Message.objects.all().delete()
    document = {
        "targets": {"gone": {"service": "nowhere"}, "alerts": {"service": "slack", "recipient": "#alerts"}},
        "routes": [{"name": "all", "steps": [{"after": 0, "notify": ["gone"]}, {"after": 3600, "notify": ["alerts"]}]}],
    }
    save_routing(document=document, actor=SYSTEM, reason="test")
    sender.tell(body(alert()), NOON)
    sweep_until(after(seconds=10))
    assert told() == [(0, "gone", "impossible"), (1, "alerts", "queued")]
    assert "nowhere" in Notification.objects.all()[0].why["problem"]


def test_a_running_escalation_keeps_the_policy_it_began_with(sender: Sender) -> None:
    sender.tell(body(alert()), NOON)
    escalate(NOON)
    quiet = {
        "targets": {"alerts": {"service": "slack", "recipient": "#quiet"}},
        "routes": [{"name": "all", "steps": [{"after": 0, "notify": ["alerts"]}]}],
    }
    save_routing(document=quiet, actor=SYSTEM, reason="less noise")
    sender.tell(body(alert("Later")), after(seconds=1))
    sweep_until(after(minutes=10))
    assert sent() == [
        ("pagerduty", ""),
        ("slack", "#alerts"),
        ("slack", "#quiet"),
        ("pagerduty", ""),
        ("slack", "#alerts"),
    ]


def test_snoozing_holds_and_then_tells(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    sender.tell(body(alert()), NOON)
    monkeypatch.setattr(work, "database_now", lambda: NOON)
    work.snooze(episode_id=Episode.objects.get().pk, actor=SYSTEM, until=after(minutes=5))
    sweep_until(after(minutes=4, seconds=55))
    assert sent() == []
    escalate(after(minutes=5))
    assert len(sent()) == 2


def test_hostile_text_is_only_text(sender: Sender) -> None:
    nasty = "a\r\nBcc: x@y <!channel> <script>alert(1)</script> \u202e\x00{{ 7*7 }} {x.__class__} %s"
    sender.tell(body(alert(annotations={"summary": nasty}, labels={"service": "midtrans"})), NOON)
    sweep_until(after(minutes=31))
    mail = Message.objects.filter(service="smtp").first()
    slack = Message.objects.filter(service="slack").first()
    assert mail is not None
    assert slack is not None
    assert "\n" not in mail.subject
    assert "\r" not in mail.subject
    assert "{{ 7*7 }}" in (mail.payload or "")
    assert "<" not in (slack.json or "")
    assert "\u202e" not in (slack.json or "") + (mail.payload or "")


# --- work ---------------------------------------------------------------------------------------
def test_acknowledging_never_reopens_and_says_who_was_first(sender: Sender, viewer: Actor) -> None:
    sender.tell(body(alert()), NOON)
    episode = Episode.objects.get()
    with pytest.raises(Forbidden):
        work.acknowledge(episode_id=episode.pk, actor=viewer)
    work.acknowledge(episode_id=episode.pk, actor=SYSTEM)
    with pytest.raises(Conflict, match="opsportal"):
        work.acknowledge(episode_id=episode.pk, actor=SYSTEM)
    Episode.objects.filter(pk=episode.pk).update(state=State.RESOLVED, resolved_at=NOON, acknowledged_at=None)
    with pytest.raises(Conflict, match="resolved"):
        work.acknowledge(episode_id=episode.pk, actor=SYSTEM)
    assert Episode.objects.get().state == State.RESOLVED


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"routes": []}, "routes"),
        ({"routes": [{"name": "a", "match": {"x": "y"}, "steps": [{"notify": ["alerts"]}]}]}, "routing"),
        ({"routes": [{"name": "a", "steps": [{"notify": ["nobody"]}]}]}, "routing"),
        ({"routes": [{"name": "a", "match": {"x": "~("}, "steps": [{"notify": ["alerts"]}]}]}, "routes.0"),
        ({"targets": {"x": {"service": "a", "rotation": "b"}}}, "targets.x"),
        ({"surprise": 1}, "surprise"),
        (7, "routing"),
    ],
)
def test_a_routing_that_makes_no_sense_names_its_field(change: object, field: str) -> None:
    document = {**DEFAULT, **change} if isinstance(change, dict) else change
    with pytest.raises(Invalid) as caught:
        save_routing(document=document, actor=SYSTEM, reason="x")
    assert field in [problem["field"] for problem in caught.value.detail]


def test_two_people_who_save_the_routing_at_once() -> None:
    first = save_routing(document=DEFAULT, actor=SYSTEM, reason="x")
    save_routing(document=DEFAULT, actor=SYSTEM, reason="x", seen_version=first.pk)
    with pytest.raises(Conflict):
        save_routing(document=DEFAULT, actor=SYSTEM, reason="x", seen_version=first.pk)
