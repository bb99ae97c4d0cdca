"""A timeline fills itself, again and again, and stays what people made of it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from django.utils import translation

from apps.alerts.models import AlertLog, EpisodeEvent, Escalation, Notification, RoutingVersion
from apps.core.actor import Actor
from apps.incidents.merging import merge
from apps.incidents.models import Incident, IncidentThing, StatusUpdate, TimelineEntry
from apps.incidents.timeline import collect, lines
from apps.incidents.timeline.collecting import scope_of
from apps.incidents.timeline.facts import Span
from apps.incidents.timeline.lines import tallies
from apps.incidents.timeline.services import add_line, hide, pin
from apps.incidents.timeline.sources import SOURCES
from apps.outbox.models import DeliveryMinute, Message, Replay, Triage
from apps.services.models import ServiceVersion
from tests.incidents.conftest import episode, over, service
from tests.incidents.timelines import breaker_event, cause, deaths, incident, link, minute, refs, whats

MIN = timedelta(minutes=1)


@pytest.fixture
def began(now: datetime) -> datetime:
    service()
    return now - 20 * MIN


def test_it_fills_itself_and_filling_it_again_changes_nothing(began: datetime, now: datetime) -> None:
    made = incident(began, "midtrans")
    breaker_event("midtrans", "opened", began + MIN)
    minute("midtrans", began + MIN, 7, timed_out=2, sent=1)
    assert collect(made, now) == 2
    assert whats(made) == ["failures", "breaker_opened"]
    assert collect(made, now) == 0
    made.refresh_from_db()
    assert made.collected_at == now


def test_each_source_is_told_in_words_with_a_link_that_leads_somewhere(
    began: datetime, now: datetime, ana: Actor
) -> None:
    """Everything the portal knows today, once."""
    made = _everything(began, now, ana)
    collect(made, now)
    found = lines(made)
    assert {line.source for line in found} == {"hand", *SOURCES}
    for line in found:
        assert line.title.strip(), line
        assert "{" not in line.title + line.text, line
        if line.url and not line.url.startswith(("/alerts/", "/incidents/")):
            resolve(line.url.partition("?")[0])
    assert [line.at for line in found] == sorted(line.at for line in found)
    with translation.override("id"):
        assert len(lines(made)) == len(found)


def _everything(began: datetime, now: datetime, ana: Actor) -> Incident:
    made = incident(began, "midtrans")
    alert = episode(service="midtrans", first_seen_at=began)
    link(made, alert)
    AlertLog.objects.create(
        at=began + 3 * MIN,
        source="eu1",
        fingerprint="f1",
        status="resolved",
        name="x",
        verdict="recovering",
        episode=alert,
    )
    over(alert, now - MIN)
    letter = Message.objects.create(service_id="midtrans", payload="x", status="SENT", sent_at=began + MIN)
    running = Escalation.objects.create(episode=alert, route="critical", policy={}, started_at=began)
    Notification.objects.create(
        escalation=running,
        step=0,
        kind="page",
        target="on-call",
        service="midtrans",
        outcome="queued",
        message_id=letter.pk,
        planned_at=began,
        decided_at=began + timedelta(seconds=14),
    )
    EpisodeEvent.objects.create(episode=alert, at=began + 2 * MIN, kind="acknowledged", actor="ana", text="mine")
    breaker_event("midtrans", "opened", began - 5 * MIN)
    breaker_event("midtrans", "forced_open", began + 4 * MIN, actor="ana", detail={"reason": "x", "expires_in": 60})
    minute("midtrans", began, 3)
    deaths(cause(), began + MIN, 4)
    Replay.objects.create(
        state="done",
        selection={"service": "midtrans"},
        created_by="ana",
        created_at=began + MIN,
        finished_at=now,
        total=4,
    )
    who = {"actor_kind": "person", "actor": "ana"}
    Triage.objects.create(verb="discard", state="done", selection={"service": "midtrans"}, newest=1, done=4, **who)
    ServiceVersion.objects.create(service_id="midtrans", version=1, definition={}, at=began - 9 * MIN, by="ana")
    RoutingVersion.objects.create(document={}, created_at=began - MIN, created_by="ana")
    StatusUpdate.objects.create(
        incident=made, at=began, state="investigating", kind="opened", actor="ana", detail={"severity": "sev1"}
    )
    add_line(incident_id=made.pk, actor=ana, text="called the bank")
    Triage.objects.update(created_at=began + 5 * MIN)
    return made


# --- words ----------------------------------------------------------------------------------------
def _titles(made: Incident) -> list[str]:
    return [line.title for line in lines(made)]


def _texts(made: Incident, what: str) -> str:
    return next(line.text for line in lines(made) if line.what == what)


def test_lines_say_who_what_and_how_much(began: datetime, now: datetime, ana: Actor) -> None:
    made = _everything(began, now, ana)
    collect(made, now)
    titles = _titles(made)
    assert "DiskFull fires (Critical)" in titles
    assert "Paged on-call about DiskFull, step 1" in titles
    assert "4 messages to midtrans died: HTTP 503" in titles
    assert "3 deliveries to midtrans failed" in titles
    assert "The breaker of midtrans opened" in titles
    assert "Incident opened, SEV1" in titles
    assert "called the bank" in titles
    assert "14 s late" in _texts(made, "paged")
    assert "delivered at" in _texts(made, "paged")
    assert "8 of 10 calls failed in 10 s (threshold 50 %, volume 5)" in _texts(made, "breaker_opened")


def test_what_proves_a_resolution_is_said(began: datetime, now: datetime) -> None:
    made = incident(began)
    row = over(episode(), now - MIN)
    row.proof = [["told_by_source", True], ["normal_for", True], ["source_alive", False], ["confirmed_by_api", False]]
    row.save()
    link(made, row)
    collect(made, now)
    text = _texts(made, "resolved")
    assert text.startswith("told by its source, normal for 5 minutes, nobody can tell")
    assert text.endswith("not confirmed by the API")


def test_an_unknown_kind_of_another_release_is_shown_by_its_name(began: datetime) -> None:
    made = incident(began)
    TimelineEntry.objects.create(incident=made, at=began, source="anomalies", ref="1", what="traffic_dropped")
    assert _titles(made) == ["Traffic dropped"]
    assert [tally.name for tally in tallies(made)[0]] == ["anomalies"]


def test_evidence_in_a_form_nobody_knows_breaks_no_page(began: datetime, now: datetime) -> None:
    made = incident(began, "midtrans")
    breaker_event("midtrans", "opened", began + MIN, detail={"counts": 7, "rule": []})
    collect(made, now)
    assert _titles(made) == ["The breaker of midtrans opened"]


def test_times_are_kept_to_the_microsecond_and_the_precision_is_said(began: datetime, now: datetime) -> None:
    at = began.replace(microsecond=123456)
    made = incident(began - MIN, "midtrans")
    StatusUpdate.objects.create(incident=made, at=at, state="investigating", kind="said", text="x", actor="ana")
    minute("midtrans", began, 3)
    collect(made, now)
    said, counted = sorted(lines(made), key=lambda line: line.what, reverse=True)
    assert said.precision == "exact"
    assert ".123456 " in said.exact
    assert said.datetime.endswith(".123Z")
    assert counted.precision == "minute"
    assert counted.exact.startswith("counted in the minute of ")


# --- the span -------------------------------------------------------------------------------------
def test_before_the_start_only_what_may_have_led_there(began: datetime, now: datetime) -> None:
    made = incident(began, "midtrans")
    minute("midtrans", began - 5 * MIN, 9)
    deaths(cause(), began - 5 * MIN, 2)
    breaker_event("midtrans", "closed", began - 6 * MIN)
    breaker_event("midtrans", "opened", began - 7 * MIN)
    breaker_event("midtrans", "opened", began - 31 * MIN)
    ServiceVersion.objects.create(service_id="midtrans", version=1, definition={}, at=began - 29 * MIN)
    collect(made, now)
    assert sorted(whats(made)) == ["breaker_opened", "service_created"]


def test_it_ends_ten_minutes_after_the_end(began: datetime, now: datetime) -> None:
    made = incident(began - 60 * MIN, "midtrans", state="resolved", resolved_at=began - 30 * MIN)
    breaker_event("midtrans", "closed", began - 21 * MIN)
    breaker_event("midtrans", "opened", began - 19 * MIN)
    collect(made, now)
    assert whats(made) == ["breaker_closed"]


def test_a_worker_whose_clock_is_ahead_writes_nothing_into_the_future(began: datetime, now: datetime) -> None:
    made = incident(began, "midtrans")
    minute("midtrans", now + 60 * MIN, 5)
    minute("midtrans", began + MIN, 2)
    collect(made, now)
    assert [line.detail["count"] for line in lines(made)] == [2]


def test_alerts_are_told_whole_also_from_before_the_start(began: datetime, now: datetime) -> None:
    made = incident(began)
    link(made, episode(first_seen_at=began - 60 * MIN))
    collect(made, now)
    assert whats(made) == ["fired"]


def test_a_minute_that_still_runs_is_counted_again_and_stays_pinned_or_hidden(
    began: datetime, now: datetime, ana: Actor
) -> None:
    made = incident(began, "midtrans")
    counted = minute("midtrans", now, 3)
    minute("midtrans", now - MIN, 1)
    collect(made, now)
    before, last = lines(made)
    pin(incident_id=made.pk, line_id=last.id, actor=ana)
    hide(incident_id=made.pk, line_id=before.id, actor=ana)
    DeliveryMinute.objects.update(failed=8)
    assert collect(made, now) == 2
    again = TimelineEntry.objects.get(pk=last.id)
    assert (again.detail["count"], again.pinned) == (8, True)
    assert TimelineEntry.objects.get(pk=before.id).hidden
    assert again.at == counted.minute


def test_rows_that_were_purged_since_make_no_count_smaller(began: datetime, now: datetime) -> None:
    made = incident(began, "midtrans")
    counted = minute("midtrans", began + MIN, 9)
    collect(made, now)
    DeliveryMinute.objects.filter(pk=counted.pk).update(failed=1)
    Incident.objects.filter(pk=made.pk).update(collected={})
    assert collect(Incident.objects.get(pk=made.pk), now) == 0
    assert lines(made)[0].detail["count"] == 9


def test_a_page_is_told_again_when_it_has_arrived_and_not_when_its_message_is_purged(
    began: datetime, now: datetime
) -> None:
    made, alert = incident(began), episode()
    link(made, alert)
    service("slack", "slack")
    letter = Message.objects.create(service_id="slack", payload="x")
    running = Escalation.objects.create(episode=alert, route="critical", policy={}, started_at=began)
    facts = {"step": 0, "kind": "page", "target": "ops", "service": "slack", "outcome": "queued"}
    times = {"planned_at": began, "decided_at": began}
    Notification.objects.create(escalation=running, message_id=letter.pk, **facts, **times)
    collect(made, now)
    assert "not delivered yet" in _texts(made, "paged")
    Message.objects.filter(pk=letter.pk).update(status="DLQ")
    collect(made, now)
    assert "a dead letter" in _texts(made, "paged")
    assert next(line.tone for line in lines(made) if line.what == "paged") == "bad"
    Message.objects.all().delete()
    assert collect(made, now) == 0
    assert "a dead letter" in _texts(made, "paged")


# --- much ------------------------------------------------------------------------------------------
def test_ten_thousand_deaths_in_a_minute_are_one_line(began: datetime, now: datetime) -> None:
    made = incident(began, "midtrans")
    deaths(cause(), began + MIN, 10_000)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        collect(made, now)
    (line,) = lines(made)
    assert line.title == "10,000 messages to midtrans died: HTTP 503"
    assert len(asked) < 90
    tables = " ".join(query["sql"] for query in asked)
    assert "delivery_attempt" not in tables
    assert "notification_outbox" not in tables


def test_a_minute_of_forty_causes_names_ten_and_counts_the_rest(began: datetime, now: datetime) -> None:
    made = incident(began, "midtrans")
    for number in range(40):
        deaths(cause(fingerprint=f"{number:016d}", error_class=f"e{number}", status_code=None), began + MIN, number + 1)
    collect(made, now)
    found = lines(made)
    assert len(found) == 11
    assert sum(line.detail["count"] for line in found) == sum(range(1, 41))
    assert found[-1].title == "465 messages to midtrans died of other causes"


def test_a_source_with_more_than_a_helping_is_read_on(
    began: datetime, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten at a time, five helpings a time: an hour of failures is whole after a few collectings."""
    monkeypatch.setattr(Span.__init__, "__defaults__", (10,))
    start = now - 90 * MIN
    made = incident(start, "midtrans")
    for number in range(80):
        minute("midtrans", start + number * MIN, number + 1)
    collect(made, now)
    assert 10 < len(refs(made)) < 80
    for _again in range(5):
        collect(made, now)
    assert len(refs(made)) == 80


# --- what it is about --------------------------------------------------------------------------------
def test_without_services_it_tells_of_itself_only(began: datetime, now: datetime) -> None:
    made = incident(began)
    breaker_event("midtrans", "opened", began + MIN)
    minute("midtrans", began + MIN, 7)
    deaths(cause(), began + MIN, 2)
    StatusUpdate.objects.create(incident=made, at=began, state="investigating", kind="opened", actor="ana")
    assert collect(made, now) == 1
    assert whats(made) == ["update_opened"]


def test_a_service_that_is_added_brings_what_was_and_one_taken_out_takes_it_along(
    began: datetime, now: datetime, ana: Actor
) -> None:
    made = incident(began, "midtrans")
    service("smtp")
    minute("smtp", began + MIN, 7)
    minute("smtp", began + 2 * MIN, 7)
    minute("midtrans", began + MIN, 3)
    collect(made, now)
    thing = IncidentThing.objects.create(incident=made, kind="service", ref="smtp", added_at=now, added_by="ana")
    assert collect(made, now) == 2
    kept = next(line for line in lines(made) if line.service == "smtp")
    pin(incident_id=made.pk, line_id=kept.id, actor=ana)
    thing.delete()
    collect(made, now)
    assert [(line.service, line.pinned) for line in lines(made)] == [("midtrans", False), ("smtp", True)]


def test_an_alert_that_is_unlinked_takes_its_lines_along(began: datetime, now: datetime) -> None:
    made = incident(began)
    link(made, episode("f1"), episode("f2"))
    collect(made, now)
    made.links.order_by("pk")[0].delete()
    collect(made, now)
    assert len(refs(made)) == 1


def test_merged_incidents_tell_of_both_and_lose_nothing(began: datetime, now: datetime, ana: Actor) -> None:
    service("smtp")
    one, other = incident(began, "midtrans"), incident(began - 15 * MIN, "smtp", title="mail is late")
    add_line(incident_id=other.pk, actor=ana, text="seen it before", at=began)
    StatusUpdate.objects.create(incident=other, at=began, state="investigating", kind="said", text="hm", actor="ana")
    minute("smtp", began - 14 * MIN, 4)
    collect(one, now)
    collect(other, now)
    merge(incident_id=other.pk, into_id=one.pk, actor=ana)
    one, other, later = Incident.objects.get(pk=one.pk), Incident.objects.get(pk=other.pk), now + MIN
    collect(one, later)
    assert sorted(whats(one)) == ["failures", "line", "update_said", "update_took_in"]
    assert {f"INC-{other.pk}: Update", f"INC-{other.pk} mail is late was merged into this one"} <= set(_titles(one))
    assert scope_of(one, later).services == ("midtrans", "smtp")
    assert collect(other, later) == 0
