from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.alerts.work import acknowledge
from apps.audit.models import AuditEntry
from apps.core.actor import SYSTEM, Actor
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from apps.incidents import linking, services
from apps.incidents.merging import merge
from apps.incidents.models import Incident, IncidentEpisode, State, TimelineEntry
from apps.outbox.models import Message
from tests.incidents.conftest import LONG_AGO, episode, over, service

MINUTE = timedelta(minutes=1)


def opened(actor: Actor, title: str = "Checkout fails", **more: object) -> Incident:
    return services.open_incident(actor=actor, title=title, severity="sev2", **more)  # type: ignore[arg-type]


# --- opening -------------------------------------------------------------------------------------


def test_opened_by_hand_it_is_known_and_worked_on_from_now_on(ana: Actor, now: datetime) -> None:
    made = opened(ana, summary="Customers cannot pay.")
    assert made.origin == "hand"
    assert made.state == State.INVESTIGATING
    assert made.acknowledged_at is not None
    assert now <= made.detected_at
    assert made.created_by == "ana@example.com"
    assert AuditEntry.objects.filter(action="incident.opened", target=f"incident:{made.pk}").count() == 1


def test_opened_from_alerts_it_begins_with_the_earliest_and_is_of_their_services(ana: Actor, now: datetime) -> None:
    service("midtrans")
    early = episode("a", ago=40 * MINUTE, service="midtrans", starts_at=now - 45 * MINUTE)
    late = episode("b", ago=10 * MINUTE, service="no-such-service")
    made = opened(ana, episode_ids=[late.pk, early.pk])
    assert made.origin == "alerts"
    assert made.started_at == early.starts_at
    assert made.detected_at == early.first_seen_at
    assert list(made.things.values_list("kind", "ref")) == [("service", "midtrans")]


@pytest.mark.parametrize("told", [LONG_AGO, None])
def test_a_start_that_cannot_be_true_is_not_taken(ana: Actor, told: datetime | None) -> None:
    row = episode(starts_at=told)
    assert opened(ana, episode_ids=[row.pk]).started_at == row.first_seen_at


def test_an_acknowledged_alert_was_the_first_sign_of_somebody(ana: Actor) -> None:
    row = episode()
    acknowledge(episode_id=row.pk, actor=ana)
    row.refresh_from_db()
    made = opened(ana, episode_ids=[row.pk])
    assert made.acknowledged_at is not None
    assert row.acknowledged_at is not None
    assert made.acknowledged_at <= row.acknowledged_at + MINUTE
    assert made.acknowledged_at == row.acknowledged_at


def test_a_program_that_opens_one_is_nobody_at_it(db: None) -> None:
    key = Actor("apikey", "ci", frozenset({"incidents.work"}))
    assert opened(key).acknowledged_at is None


@pytest.mark.parametrize("title", ["", "   ", "\x00\x07", "x" * 201])
def test_a_title_is_one_line_of_something(ana: Actor, title: str) -> None:
    with pytest.raises(Invalid):
        opened(ana, title=title)
    assert not Incident.objects.exists()


def test_a_hostile_title_loses_what_cannot_be_seen(ana: Actor) -> None:
    made = opened(ana, title="<script>a\u202eb\r\nBcc: x</script> {{ 7*7 }}\x00")
    assert made.title == "<script>ab Bcc: x</script> {{ 7*7 }}"


def test_what_began_in_the_future_is_refused(ana: Actor, now: datetime) -> None:
    with pytest.raises(Invalid, match="started_at"):
        opened(ana, started_at=now + timedelta(hours=1))
    with pytest.raises(Invalid, match="started_at"):
        opened(ana, started_at=now.replace(tzinfo=None))


def test_an_alert_belongs_to_one_open_incident(ana: Actor, budi: Actor) -> None:
    row = episode()
    first = opened(ana, episode_ids=[row.pk])
    with pytest.raises(Conflict) as caught:
        opened(budi, episode_ids=[row.pk])
    assert caught.value.detail == {"incident": first.pk}
    assert Incident.objects.count() == 1


def test_alerts_that_are_not_there_are_refused(ana: Actor) -> None:
    with pytest.raises(Invalid, match="no alert 999"):
        opened(ana, episode_ids=[999])


def test_a_viewer_runs_nothing(viewer: Actor, ana: Actor) -> None:
    with pytest.raises(Forbidden):
        opened(viewer)
    made = opened(ana)
    with pytest.raises(Forbidden):
        services.say(incident_id=made.pk, actor=viewer, text="x")
    with pytest.raises(Forbidden):
        services.resolve(incident_id=made.pk, actor=viewer)
    with pytest.raises(Forbidden):
        linking.link_alerts(incident_id=made.pk, episode_ids=[1], actor=viewer)


def test_people_are_told_in_the_channel_of_such_alerts(ana: Actor) -> None:
    service("slack", "slack")
    made = opened(ana, title="Checkout <!channel> fails")
    told = made.updates.get().told
    message = Message.objects.get(pk=told[0]["message_id"])
    assert message.recipient == "#alerts"
    assert message.ordering_key == f"opsportal-incident-{made.pk}"
    assert b"<!channel>" not in bytes(message.payload or b"") + str(message.body_data).encode()


def test_nobody_is_told_when_that_is_not_wanted_or_there_is_no_channel(ana: Actor) -> None:
    assert opened(ana).updates.get().told == []
    service("slack", "slack")
    assert opened(ana, tell_people=False).updates.get().told == []
    assert not Message.objects.exists()


# --- saying, and its states -----------------------------------------------------------------------


def test_an_update_brings_it_on(ana: Actor) -> None:
    made = opened(ana)
    said = services.say(
        incident_id=made.pk, actor=ana, text="It is the pool.", state="identified", seen="investigating"
    )
    made.refresh_from_db()
    assert (made.state, said.text, said.detail) == ("identified", "It is the pool.", {"from": "investigating"})
    services.say(incident_id=made.pk, actor=ana, state="monitoring")
    made.refresh_from_db()
    assert made.mitigated_at is not None
    services.say(incident_id=made.pk, actor=ana, state="investigating", text="Not mended after all.")
    made.refresh_from_db()
    assert made.mitigated_at is None


def test_of_two_who_bring_it_on_the_second_is_told(ana: Actor, budi: Actor) -> None:
    made = opened(ana)
    services.say(incident_id=made.pk, actor=ana, state="identified", seen="investigating")
    with pytest.raises(Conflict, match="changed it meanwhile"):
        services.say(incident_id=made.pk, actor=budi, state="monitoring", seen="investigating")
    with pytest.raises(Conflict, match="changed it meanwhile"):
        services.resolve(incident_id=made.pk, actor=budi, seen="investigating")


def test_nothing_said_is_no_update(ana: Actor) -> None:
    made = opened(ana)
    for given in ({}, {"text": "  "}, {"state": "investigating"}):
        with pytest.raises(Invalid):
            services.say(incident_id=made.pk, actor=ana, **given)
    for state in ("resolved", "merged", "nonsense"):
        with pytest.raises(Invalid):
            services.say(incident_id=made.pk, actor=ana, state=state, text="x")


def test_resolved_it_was_mended_when_its_alerts_fell_silent(ana: Actor, now: datetime) -> None:
    row = episode(ago=60 * MINUTE)
    made = opened(ana, episode_ids=[row.pk])
    over(row, now - 10 * MINUTE)
    made = services.resolve(incident_id=made.pk, actor=ana, text="Fixed.")
    assert made.resolved_at is not None
    assert made.mitigated_at == row.normal_since
    with pytest.raises(Conflict, match="resolved already"):
        services.resolve(incident_id=made.pk, actor=ana)
    with pytest.raises(Conflict, match="resolved already"):
        services.say(incident_id=made.pk, actor=ana, text="late")


def test_resolved_while_an_alert_fires_says_so(ana: Actor) -> None:
    made = opened(ana, episode_ids=[episode().pk])
    services.resolve(incident_id=made.pk, actor=ana)
    assert made.updates.all()[0].detail["firing"] == 1


def test_opened_again_nothing_is_resolved_or_mended(ana: Actor) -> None:
    made = opened(ana)
    with pytest.raises(Conflict, match="is open"):
        services.reopen(incident_id=made.pk, actor=ana, reason="x")
    services.resolve(incident_id=made.pk, actor=ana)
    with pytest.raises(Invalid):
        services.reopen(incident_id=made.pk, actor=ana, reason=" ")
    made = services.reopen(incident_id=made.pk, actor=ana, reason="it is back")
    assert (made.state, made.resolved_at, made.mitigated_at, made.reopened) == ("investigating", None, None, 1)


def test_there_is_no_such_incident(ana: Actor) -> None:
    with pytest.raises(NotFound, match="no incident 404"):
        services.resolve(incident_id=404, actor=ana)


# --- severity, words, start, roles -----------------------------------------------------------------


def test_of_two_who_change_the_severity_the_second_is_told(ana: Actor, budi: Actor) -> None:
    made = opened(ana)
    services.change_severity(incident_id=made.pk, actor=ana, severity="sev1", seen="sev2", reason="all of it")
    with pytest.raises(Conflict, match="SEV1 by now"):
        services.change_severity(incident_id=made.pk, actor=budi, severity="sev3", seen="sev2")
    with pytest.raises(Invalid, match="already"):
        services.change_severity(incident_id=made.pk, actor=budi, severity="sev1")
    assert made.updates.all()[0].detail == {"from": "sev2", "to": "sev1"}


def test_a_corrected_start_stays_when_earlier_alerts_join(ana: Actor, now: datetime) -> None:
    made = opened(ana)
    start = now - 20 * MINUTE
    made.collected_at = now
    made.save()
    made = services.change(incident_id=made.pk, actor=ana, title="Checkout fails", started_at=start)
    assert (made.started_at, made.started_by_hand, made.collected_at) == (start, True, None)
    linking.link_alerts(incident_id=made.pk, episode_ids=[episode(ago=50 * MINUTE).pk], actor=ana)
    made.refresh_from_db()
    assert made.started_at == start
    assert made.detected_at < start
    with pytest.raises(Invalid, match="future"):
        services.change(incident_id=made.pk, actor=ana, title="x", started_at=now + timedelta(days=1))


def test_what_is_the_same_is_no_change(ana: Actor) -> None:
    made = opened(ana)
    before = AuditEntry.objects.count()
    services.change(incident_id=made.pk, actor=ana, title=made.title, started_at=made.started_at)
    assert AuditEntry.objects.count() == before


def test_a_role_is_held_by_one_person(ana: Actor, budi: Actor) -> None:
    made = opened(ana)
    services.assign_role(incident_id=made.pk, role="commander", person="ana@example.com", actor=ana, seen="")
    with pytest.raises(Conflict, match=r"ana@example\.com has taken"):
        services.assign_role(incident_id=made.pk, role="commander", person="budi@example.com", actor=budi, seen="")
    services.assign_role(
        incident_id=made.pk, role="commander", person="budi@example.com", actor=ana, seen="ana@example.com"
    )
    assert [role.person for role in made.roles.all()] == ["budi@example.com"]
    services.assign_role(incident_id=made.pk, role="commander", person="", actor=budi)
    assert not made.roles.exists()


@pytest.mark.parametrize(("role", "person"), [("king", "ana@example.com"), ("scribe", "nobody@example.com")])
def test_no_such_role_or_person(ana: Actor, role: str, person: str) -> None:
    with pytest.raises(Invalid):
        services.assign_role(incident_id=opened(ana).pk, role=role, person=person, actor=ana)


# --- links -----------------------------------------------------------------------------------------


def test_alerts_services_and_deployments_come_and_go(ana: Actor) -> None:
    service("smtp")
    made, row = opened(ana), episode()
    assert linking.link_alerts(incident_id=made.pk, episode_ids=[row.pk], actor=ana) == 1
    assert linking.link_alerts(incident_id=made.pk, episode_ids=[row.pk], actor=ana) == 0
    linking.add_thing(incident_id=made.pk, kind="service", ref="smtp", actor=ana)
    deployment = linking.add_thing(incident_id=made.pk, kind="deployment", ref="shop v41", actor=ana)
    linking.remove_thing(incident_id=made.pk, thing_id=deployment.pk, actor=ana)
    linking.unlink_alert(incident_id=made.pk, episode_id=row.pk, actor=ana)
    assert list(made.things.values_list("ref", flat=True)) == ["smtp"]
    assert not made.links.exists()
    with pytest.raises(NotFound):
        linking.unlink_alert(incident_id=made.pk, episode_id=row.pk, actor=ana)
    with pytest.raises(NotFound):
        linking.remove_thing(incident_id=made.pk, thing_id=deployment.pk, actor=ana)


def test_times_follow_what_is_linked_and_what_is_left(ana: Actor) -> None:
    made, row, later = opened(ana), episode("a", ago=60 * MINUTE), episode("b", ago=20 * MINUTE)
    linking.link_alerts(incident_id=made.pk, episode_ids=[row.pk, later.pk], actor=ana)
    made.refresh_from_db()
    assert (made.started_at, made.detected_at) == (row.starts_at, row.first_seen_at)
    linking.unlink_alert(incident_id=made.pk, episode_id=row.pk, actor=ana)
    made.refresh_from_db()
    assert (made.started_at, made.detected_at) == (later.starts_at, later.first_seen_at)
    linking.unlink_alert(incident_id=made.pk, episode_id=later.pk, actor=ana)
    made.refresh_from_db()
    assert made.started_at == made.created_at


@pytest.mark.parametrize(
    ("kind", "ref"), [("service", "nowhere"), ("planet", "mars"), ("deployment", " "), ("deployment", "a\nb")]
)
def test_things_that_make_no_sense(ana: Actor, kind: str, ref: str) -> None:
    with pytest.raises(Invalid):
        linking.add_thing(incident_id=opened(ana).pk, kind=kind, ref=ref, actor=ana)


# --- merging ----------------------------------------------------------------------------------------


def test_merged_its_alerts_services_and_timeline_move_along(ana: Actor, now: datetime) -> None:
    service("smtp")
    shared, own = episode("a", ago=30 * MINUTE), episode("b")
    target = opened(ana, title="Payments fail", episode_ids=[own.pk])
    gone = opened(ana, title="Checkout fails", episode_ids=[shared.pk], services=["smtp"])
    for ref, home in (("1", gone), ("2", gone), ("2", target)):
        TimelineEntry.objects.create(incident=home, at=now, source="alerts", ref=ref, what="fired", pinned=home == gone)
    merged = merge(incident_id=gone.pk, into_id=target.pk, actor=ana, reason="one and the same")
    gone.refresh_from_db()
    assert (gone.state, gone.merged_into_id) == ("merged", target.pk)
    assert set(merged.links.values_list("episode_id", flat=True)) == {shared.pk, own.pk}
    assert merged.things.get().ref == "smtp"
    assert merged.started_at == shared.starts_at
    assert sorted(merged.timeline.values_list("ref", "pinned")) == [("1", True), ("2", True)]
    assert [update.kind for update in gone.updates.all()[:1]] == ["merged"]
    assert [update.kind for update in merged.updates.all()[:1]] == ["took_in"]


def test_not_into_itself_not_in_a_circle_and_not_into_what_is_over(ana: Actor) -> None:
    one, two, three = opened(ana, "one"), opened(ana, "two"), opened(ana, "three")
    with pytest.raises(Invalid, match="into itself"):
        merge(incident_id=one.pk, into_id=one.pk, actor=ana)
    merge(incident_id=one.pk, into_id=two.pk, actor=ana)
    for source, target in ((one, three), (two, one)):
        with pytest.raises(Conflict, match="merged into"):
            merge(incident_id=source.pk, into_id=target.pk, actor=ana)
    merge(incident_id=two.pk, into_id=three.pk, actor=ana)
    one.refresh_from_db()
    assert one.merged_into_id == three.pk
    services.resolve(incident_id=three.pk, actor=ana)
    four = opened(ana, "four")
    with pytest.raises(Conflict, match="resolved already"):
        merge(incident_id=four.pk, into_id=three.pk, actor=ana)


def test_a_merged_incident_stays_as_it_is(ana: Actor) -> None:
    one, two = opened(ana, "one"), opened(ana, "two")
    merge(incident_id=one.pk, into_id=two.pk, actor=ana)
    with pytest.raises(Conflict, match="merged into"):
        services.reopen(incident_id=one.pk, actor=ana, reason="x")
    with pytest.raises(Conflict, match="merged into"):
        services.change(incident_id=one.pk, actor=ana, title="x")


def test_an_incident_keeps_its_alerts_from_being_purged(ana: Actor) -> None:
    row = episode()
    opened(ana, episode_ids=[row.pk])
    with pytest.raises(Exception, match="protected"):
        row.delete()
    assert IncidentEpisode.objects.filter(episode=row).exists()


def test_the_portal_itself_is_nobody_at_it(db: None) -> None:
    made = opened(SYSTEM)
    services.resolve(incident_id=made.pk, actor=SYSTEM)
    made.refresh_from_db()
    assert made.acknowledged_at is None
