from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.alerts.models import AlertSource, Episode, Maintenance
from apps.alerts.work import acknowledge
from apps.core.actor import SYSTEM, Actor
from apps.core.db import database_now
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from apps.incidents import linking, services
from apps.incidents.merging import merge
from apps.incidents.models import Incident, LeftOut, Rule
from apps.incidents.rules import delete_rule, save_rule, switch_rule
from apps.incidents.sweeping import ends_at, sweep
from tests.incidents.conftest import episode, over, service

MINUTE = timedelta(minutes=1)


def rule(name: str = "critical", **fields: Any) -> Rule:
    given = {"match": {"severity": "critical"}, "after_s": 300, "severity": "sev2", **fields}
    return Rule.objects.create(name=name, **given)


def the_incident() -> Incident:
    return Incident.objects.get()


# --- opening -------------------------------------------------------------------------------------


def test_a_critical_alert_that_fires_long_enough_is_an_incident(db: None) -> None:
    service("midtrans")
    rule()
    row = episode(service="midtrans", ago=6 * MINUTE)
    assert sweep() == 1
    made = the_incident()
    assert (made.origin, made.rule_id, made.severity, made.title) == ("rule", "critical", "sev2", "the disk is full")
    assert made.created_by == str(SYSTEM)
    assert made.acknowledged_at is None
    assert [link.episode_id for link in made.links.all()] == [row.pk]
    assert sweep() == 0


def test_not_before_its_time_and_then_to_the_second(now: datetime) -> None:
    rule()
    row = episode(first_seen_at=now)
    assert sweep(now + timedelta(seconds=299)) == 0
    assert sweep(now + timedelta(seconds=300)) == 1
    assert the_incident().links.get().episode_id == row.pk


@pytest.mark.parametrize(
    "fields",
    [
        {"severity": "warning"},
        {"state": "recovering"},
        {"suppressed": True},
        {"snoozed_until": datetime.max.replace(year=2990, tzinfo=None)},
        {"name": "Watchdog"},
    ],
)
def test_what_is_no_incident(db: None, fields: dict[str, Any]) -> None:
    if "snoozed_until" in fields:
        fields = {"snoozed_until": database_now() + timedelta(hours=1)}
    rule()
    episode(**fields)
    assert sweep() == 0
    assert not Incident.objects.exists()


def test_the_heartbeat_is_no_incident_whatever_it_is_called(db: None) -> None:
    rule(match={})
    row = episode(name="DeadMansSwitch")
    AlertSource.objects.filter(pk=row.source_id).update(watchdog="DeadMansSwitch")
    assert sweep() == 0


def test_a_maintenance_window_opens_nothing_and_its_end_does(now: datetime) -> None:
    rule()
    episode(service="midtrans")
    Maintenance.objects.create(
        match={"service": "mid~", "source": "eu1"}, starts_at=now, ends_at=now + MINUTE, reason="other", created_by="x"
    )
    window = Maintenance.objects.create(
        match={"service": "midtrans"}, starts_at=now - MINUTE, ends_at=now + 5 * MINUTE, reason="disk", created_by="x"
    )
    assert sweep(now) == 0
    Maintenance.objects.filter(pk=window.pk).update(ended_at=now)
    assert sweep(now) == 1


def test_so_many_must_fire_together(now: datetime) -> None:
    rule(at_least=3)
    episode("a"), episode("b")
    assert sweep() == 0
    episode("c", ago=2 * MINUTE)
    assert sweep() == 0
    assert sweep(now + 4 * MINUTE) == 1
    assert the_incident().links.count() == 3
    assert the_incident().title == "the disk is full (and 2 more alerts)"


def test_later_alerts_join_the_open_incident_of_the_rule(now: datetime) -> None:
    rule()
    episode("a")
    sweep()
    earlier = episode("b", ago=60 * MINUTE)
    assert sweep() == 1
    made = the_incident()
    assert made.links.count() == 2
    assert made.started_at == earlier.starts_at


def test_two_rules_open_two_incidents_and_an_alert_is_of_one(db: None) -> None:
    rule("a-all", match={})
    rule("b-critical")
    episode()
    sweep()
    assert the_incident().rule_id == "a-all"


@pytest.mark.parametrize(
    ("match", "takes"),
    [
        ({"service": "midtrans"}, True),
        ({"service": ["smtp", "midtrans"]}, True),
        ({"service": "~mid.*"}, True),
        ({"service": "smtp"}, False),
        ({"alertname": "DiskFull", "source": "eu1"}, True),
        ({"source": "us1"}, False),
        ({"team": ""}, True),
    ],
)
def test_a_rule_matches_as_a_route_does(db: None, match: dict[str, Any], takes: bool) -> None:
    rule(match=match)
    episode(service="midtrans")
    assert sweep() == takes


def test_a_rule_that_is_off_opens_nothing(db: None, lead: Actor) -> None:
    rule()
    switch_rule(name="critical", actor=lead, enabled=False)
    episode()
    assert sweep() == 0
    switch_rule(name="critical", actor=lead, enabled=True)
    assert sweep() == 1


def test_what_a_person_took_out_no_rule_puts_back(ana: Actor) -> None:
    rule()
    row = episode()
    sweep()
    linking.unlink_alert(incident_id=the_incident().pk, episode_id=row.pk, actor=ana)
    assert LeftOut.objects.count() == 1
    assert sweep() == 0
    linking.link_alerts(incident_id=the_incident().pk, episode_ids=[row.pk], actor=ana)
    assert not LeftOut.objects.exists()


def test_what_a_person_runs_by_hand_no_rule_opens_again(ana: Actor) -> None:
    rule()
    row = episode()
    services.open_incident(actor=ana, title="Ours", severity="sev1", episode_ids=[row.pk])
    assert sweep() == 0


def test_an_acknowledgement_of_an_alert_is_the_first_sign_of_somebody(ana: Actor) -> None:
    rule()
    row = episode()
    sweep()
    acknowledge(episode_id=row.pk, actor=ana)
    assert sweep() == 1
    row.refresh_from_db()
    assert the_incident().acknowledged_at == row.acknowledged_at
    assert sweep() == 0


# --- ending by itself ------------------------------------------------------------------------------


def test_it_ends_by_itself_after_its_alerts_were_over_for_so_long(now: datetime) -> None:
    rule(resolve_after_s=300)
    one, two = episode("a"), episode("b")
    sweep(now)
    over(one, now + MINUTE)
    assert sweep(now + 60 * MINUTE) == 0
    over(two, now + 2 * MINUTE)
    assert ends_at(the_incident()) == now + 7 * MINUTE
    assert sweep(now + timedelta(minutes=6, seconds=59)) == 0
    assert sweep(now + 7 * MINUTE) == 1
    made = the_incident()
    assert made.state == "resolved"
    update = made.updates.all()[0]
    assert (update.kind, update.detail["by_itself"], update.actor) == ("resolved", True, str(SYSTEM))


def test_it_waits_for_people_where_the_rule_says_so_and_where_they_opened_it(ana: Actor, now: datetime) -> None:
    rule(resolve_after_s=None)
    row = episode()
    sweep(now)
    other = episode("other", severity="warning")
    services.open_incident(actor=ana, title="Ours", severity="sev1", episode_ids=[other.pk])
    over(row, now), over(other, now)
    assert sweep(now + timedelta(days=1)) == 0


def test_who_opened_it_again_decides_when_it_is_over(ana: Actor, now: datetime) -> None:
    rule()
    row = episode()
    sweep(now)
    over(row, now)
    sweep(now + 10 * MINUTE)
    services.reopen(incident_id=the_incident().pk, actor=ana, reason="orders are still stuck")
    assert sweep(now + timedelta(days=1)) == 0
    assert the_incident().state == "investigating"


def test_an_incident_of_a_deleted_rule_is_ended_by_people(lead: Actor, now: datetime) -> None:
    rule()
    row = episode()
    sweep(now)
    delete_rule(name="critical", actor=lead)
    over(row, now)
    assert sweep(now + timedelta(days=1)) == 0
    assert the_incident().rule is None


# --- again (field notes 3.1, 53) --------------------------------------------------------------------


def resolved_with(actor: Actor, row: Episode) -> Incident:
    made = services.open_incident(actor=actor, title="Ours", severity="sev2", episode_ids=[row.pk])
    return services.resolve(incident_id=made.pk, actor=actor)


def again(row: Episode, at: datetime, **fields: Any) -> Episode:
    """The next episode of the same alert."""
    return episode(row.fingerprint, previous=row, first_seen_at=at, starts_at=at, **fields)


def test_a_member_that_fires_again_soon_opens_it_again(ana: Actor, now: datetime) -> None:
    row = episode()
    made = resolved_with(ana, row)
    over(row, now)
    assert made.resolved_at is not None
    new = again(row, made.resolved_at + 29 * MINUTE)
    assert sweep(made.resolved_at + 30 * MINUTE) == 1
    made = the_incident()
    assert (made.state, made.reopened) == ("investigating", 1)
    assert set(made.links.values_list("episode_id", flat=True)) == {row.pk, new.pk}
    assert made.updates.filter(kind="reopened").get().detail == {"episode": new.pk}
    assert sweep() == 0


def test_long_after_its_end_it_stays_resolved(ana: Actor, now: datetime) -> None:
    rule(after_s=0)
    row = episode()
    made = resolved_with(ana, row)
    over(row, now)
    assert made.resolved_at is not None
    again(row, made.resolved_at + 31 * MINUTE)
    sweep(made.resolved_at + 40 * MINUTE)
    assert list(Incident.objects.order_by("pk").values_list("state", "origin")) == [
        ("resolved", "alerts"),
        ("investigating", "rule"),
    ]


def test_a_member_that_was_recovering_and_fires_again_opens_it_again(ana: Actor, now: datetime) -> None:
    row = episode(state="recovering")
    made = resolved_with(ana, row)
    assert sweep() == 0
    assert made.resolved_at is not None
    row.state, row.refired = "firing", [(made.resolved_at + MINUTE).isoformat()]
    row.save()
    assert sweep() == 1
    assert the_incident().state == "investigating"


def test_one_that_never_fell_silent_does_not(ana: Actor, now: datetime) -> None:
    rule()
    row = episode(refired=[(now - 5 * MINUTE).isoformat()])
    resolved_with(ana, row)
    assert sweep() == 0
    assert the_incident().state == "resolved"


def test_of_a_merged_incident_the_one_it_lives_on_in_is_opened_again(ana: Actor, now: datetime) -> None:
    row = episode()
    gone = services.open_incident(actor=ana, title="gone", severity="sev2", episode_ids=[row.pk])
    target = services.open_incident(actor=ana, title="target", severity="sev2")
    merge(incident_id=gone.pk, into_id=target.pk, actor=ana)
    over(row, now)
    first = again(row, now + MINUTE)
    assert sweep(now + 2 * MINUTE) == 1
    assert first.incident_links.get().incident_id == target.pk
    over(first, now + 3 * MINUTE)
    done = services.resolve(incident_id=target.pk, actor=ana)
    assert done.resolved_at is not None
    again(first, done.resolved_at + MINUTE)
    assert sweep(done.resolved_at + 2 * MINUTE) == 1
    assert list(Incident.objects.order_by("pk").values_list("state", flat=True)) == ["merged", "investigating"]


def test_it_is_not_opened_again_beside_another_of_its_rule(ana: Actor, now: datetime) -> None:
    rule(after_s=0)
    row = episode()
    sweep(now)
    first = the_incident()
    services.resolve(incident_id=first.pk, actor=ana)
    over(row, now)
    other = episode("other")
    sweep()
    second = Incident.objects.get(state="investigating")
    with pytest.raises(Conflict, match="opened another incident"):
        services.reopen(incident_id=first.pk, actor=ana, reason="back")
    assert second.links.get().episode_id == other.pk
    new = again(row, database_now() + MINUTE)
    sweep(database_now() + 2 * MINUTE)
    assert Incident.objects.filter(state="investigating").count() == 1
    assert new.incident_links.get().incident_id == second.pk


# --- rules by people --------------------------------------------------------------------------------


def test_rules_are_made_changed_and_deleted_by_leads(lead: Actor, ana: Actor) -> None:
    made = save_rule(name="disk", actor=lead, match={"alertname": "~Disk.*"}, severity="sev3")
    with pytest.raises(Conflict, match="already a rule"):
        save_rule(name="disk", actor=lead, match={}, severity="sev3")
    save_rule(name="disk", actor=lead, match={}, severity="sev1", seen_version=made.version)
    with pytest.raises(Conflict, match="changed meanwhile"):
        save_rule(name="disk", actor=lead, match={}, severity="sev4", seen_version=made.version)
    assert Rule.objects.get().version == 2
    for attempt in (
        lambda: save_rule(name="other", actor=ana, match={}, severity="sev3"),
        lambda: switch_rule(name="disk", actor=ana, enabled=False),
        lambda: delete_rule(name="disk", actor=ana),
    ):
        with pytest.raises(Forbidden):
            attempt()
    delete_rule(name="disk", actor=lead)
    with pytest.raises(NotFound, match="deleted meanwhile"):
        save_rule(name="disk", actor=lead, match={}, severity="sev1", seen_version=2)
    with pytest.raises(NotFound):
        switch_rule(name="disk", actor=lead, enabled=True)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "a b"},
        {"name": "é"},
        {"severity": "sev9"},
        {"after_s": -1},
        {"after_s": 10**9},
        {"at_least": 0},
        {"resolve_after_s": -1},
        {"match": {"service": "~("}},
        {"match": {"service": 5}},
    ],
)
def test_rules_that_make_no_sense(lead: Actor, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        save_rule(**{"name": "disk", "match": {}, "severity": "sev3", "actor": lead, **fields})
