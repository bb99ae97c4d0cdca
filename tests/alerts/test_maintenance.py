"""Maintenance windows hold pages, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.alerts import escalating, maintenance
from apps.alerts.escalating import escalate
from apps.alerts.models import AlertLog, Episode, Escalation, Maintenance, Notification
from apps.alerts.settling import settle_all
from apps.audit.models import AuditEntry
from apps.core.actor import SYSTEM, Actor
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from tests.alerts.conftest import NOON, Sender, after, alert, body
from tests.alerts.paging import make_channels, sent, sweep

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def channels(db: None) -> None:
    make_channels()


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "database_now", lambda: NOON)


def plan(minutes: int = 30, **match: Any) -> Maintenance:
    given = match or {"alertname": "DiskFull"}
    return maintenance.plan(
        match=given, starts_at=None, ends_at=after(minutes=minutes), reason="new disks", actor=SYSTEM
    )


def test_an_alert_that_outlives_the_window_pages_at_its_end(sender: Sender) -> None:
    window = plan()
    sender.tell(body(alert(), alert("Other")), NOON)
    sweep(NOON, 29 * 60, every=60)
    assert len([one for one in sent() if one == ("pagerduty", "")]) == 2  # twice about the other one
    assert [row.episode.name for row in maintenance.held(window)] == ["DiskFull"]
    held = Episode.objects.get(name="DiskFull")
    assert [event.kind for event in held.events.all()] == ["held"]
    before = len(sent())
    escalate(after(minutes=30))
    assert len(sent()) == before + 2 + 1  # its first step, and the third of the other one
    page = Notification.objects.filter(escalation__episode=held)[0]
    assert page.why["held"]["maintenance"] == window.pk
    assert (page.planned_at, page.decided_at, page.late_s) == (NOON, after(minutes=30), 60)
    assert AlertLog.objects.count() == 2


def test_an_alert_that_ends_inside_pages_nobody(sender: Sender) -> None:
    plan()
    sender.tell(body(alert()), NOON)
    escalate(NOON)
    sender.tell(body(alert(status="resolved", ends=after(minutes=5))), after(minutes=5))
    settle_all(after(minutes=11))
    sweep(after(minutes=11), 40 * 60, every=60)
    assert sent() == []
    assert Escalation.objects.get().held_by is None


def test_overlapping_windows_hold_until_the_last_one_ends(sender: Sender) -> None:
    plan(10)
    plan(20, severity=["critical", "warning"])
    sender.tell(body(alert()), NOON)
    sweep(NOON, 19 * 60, every=60)
    assert sent() == []
    escalate(after(minutes=20))
    assert len(sent()) == 2


def test_a_page_that_went_out_before_is_not_repeated_and_the_next_is_held(sender: Sender) -> None:
    sender.tell(body(alert()), NOON)
    escalate(NOON)
    plan(20)
    sweep(NOON, 19 * 60, every=60)
    assert len(sent()) == 2
    escalate(after(minutes=20))
    assert len(sent()) == 4


def test_many_that_are_held_do_not_stand_in_the_way(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(escalating, "BATCH", 5)
    plan()
    sender.tell(body(*[alert(labels={"n": str(n)}) for n in range(12)]), NOON)
    sender.tell(body(alert("Other")), after(seconds=1))
    sweep(NOON, 30)
    assert len(sent()) == 2


def test_ending_it_early_lets_the_pages_go(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    window = plan()
    sender.tell(body(alert()), NOON)
    escalate(NOON)
    monkeypatch.setattr(maintenance, "database_now", lambda: after(minutes=2))
    maintenance.end(window_id=window.pk, reason="done", actor=SYSTEM)
    escalate(after(minutes=2))
    assert len(sent()) == 2
    assert [entry.action for entry in AuditEntry.objects.filter(action__startswith="maintenance").order_by("pk")] == [
        "maintenance.planned",
        "maintenance.ended",
    ]
    with pytest.raises(Conflict):
        maintenance.end(window_id=window.pk, reason="again", actor=SYSTEM)


def test_changing_what_it_matches_is_looked_at_anew(sender: Sender) -> None:
    window = plan()
    sender.tell(body(alert()), NOON)
    escalate(NOON)
    maintenance.change(
        window_id=window.pk, match={"alertname": "Else"}, ends_at=after(hours=1), reason="wrong one", actor=SYSTEM
    )
    escalate(after(seconds=5))
    assert len(sent()) == 2


def test_a_window_that_has_not_begun_holds_nothing(sender: Sender) -> None:
    maintenance.plan(
        match={"alertname": "~Disk.*"}, starts_at=after(hours=1), ends_at=after(hours=2), reason="x", actor=SYSTEM
    )
    sender.tell(body(alert()), NOON)
    escalate(NOON)
    assert len(sent()) == 2


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"match": {}}, "match"),
        ({"match": []}, "match"),
        ({"match": {"a": "~("}}, "match"),
        ({"match": {"a": 7}}, "match"),
        ({"ends_at": after(days=31)}, "ends_at"),
        ({"ends_at": NOON}, "ends_at"),
        ({"starts_at": after(hours=2)}, "ends_at"),
        ({"starts_at": after(days=400), "ends_at": after(days=401)}, "starts_at"),
        ({"reason": " "}, "reason"),
    ],
)
def test_a_window_that_makes_no_sense_names_its_field(given: dict[str, Any], field: str) -> None:
    good = {"match": {"a": "b"}, "starts_at": None, "ends_at": after(hours=1), "reason": "x"}
    with pytest.raises(Invalid) as caught:
        maintenance.plan(**{**good, **given}, actor=SYSTEM)
    assert field in [problem["field"] for problem in caught.value.detail]


def test_who_may(viewer: Actor) -> None:
    window = plan()
    with pytest.raises(Forbidden):
        maintenance.end(window_id=window.pk, reason="x", actor=viewer)
    with pytest.raises(NotFound):
        maintenance.end(window_id=window.pk + 99, reason="x", actor=SYSTEM)
    assert window.ends_at - window.starts_at == timedelta(minutes=30)
