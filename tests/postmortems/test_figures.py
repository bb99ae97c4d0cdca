"""Each figure equals what plain SQL says, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import translation

from apps.breakers.models import BreakerEvent
from apps.core.db import database_now
from apps.incidents.models import Incident
from apps.postmortems.figures import BY_KEY, FIGURES, compute, scope_of, url_of
from apps.postmortems.figures.breakers import Event, stretches
from tests.postmortems.outages import about, at, breaker, make_incident, message, minute, ms, outage, service, sql

SERVICES = "service IN ('midtrans', 'smtp')"
SPAN = (at(0), at(40))


@pytest.fixture
def incident(db: None) -> Incident:
    return outage()


def figure(incident: Incident, key: str) -> dict[str, object]:
    found = compute(scope_of(incident, database_now()))
    return next(item for item in found if item["key"] == key)


def test_delayed(incident: Incident) -> None:
    late = sql(
        f"""SELECT count(*) FROM notification_outbox WHERE {SERVICES} AND created_at >= %s AND created_at < %s
            AND ((status = 'SENT' AND sent_at = %s AND send_after IS NULL) OR status = 'PENDING')""",
        *SPAN,
        at(20),
    )
    assert figure(incident, "delayed")["value"] == late == 3 + 1 + 2
    assert figure(incident, "delayed")["parts"] == [{"name": "midtrans", "value": 4}, {"name": "smtp", "value": 2}]


@pytest.mark.parametrize(("seconds", "late"), [(59, 0), (60, 0), (60.5, 1), (3600, 1)])
def test_a_minute_is_no_delay(db: None, seconds: float, late: int) -> None:
    message("midtrans", sent_at=at(10) + timedelta(seconds=seconds))
    assert figure(make_incident(), "delayed")["value"] == late


@pytest.mark.parametrize(("after_due", "late"), [(30, 0), (90, 1)])
def test_a_message_for_later_is_due_later(db: None, after_due: float, late: int) -> None:
    message("midtrans", send_after=at(30), sent_at=at(30) + timedelta(seconds=after_due))
    assert figure(make_incident(), "delayed")["value"] == late


def test_one_that_is_to_be_sent_in_the_future_is_not_delayed(db: None) -> None:
    message("midtrans", status="PENDING", send_after=database_now() + timedelta(hours=1))
    message("midtrans", status="RETRYING", send_after=at(11))
    assert figure(make_incident(), "delayed")["value"] == 1


def test_dead_lettered(incident: Incident) -> None:
    dead = sql(f"SELECT count(*) FROM dead_letter WHERE {SERVICES} AND died_at >= %s AND died_at < %s", *SPAN)
    assert figure(incident, "dead_lettered")["value"] == dead == 4


def test_expired(incident: Incident) -> None:
    lost = sql(
        f"""SELECT count(*) FROM notification_outbox
            WHERE {SERVICES} AND status = 'EXPIRED' AND settled_at >= %s AND settled_at < %s""",
        *SPAN,
    )
    assert figure(incident, "expired")["value"] == lost == 2


def test_failed_attempts(incident: Incident) -> None:
    failed = sql(
        f"SELECT sum(failed + timed_out) FROM delivery_minute WHERE {SERVICES} AND minute >= %s AND minute < %s", *SPAN
    )
    assert figure(incident, "failed")["value"] == failed == 26


def test_the_minute_it_began_in_counts_whole(db: None) -> None:
    minute("midtrans", at(0), failed=3)
    incident = make_incident(started_at=at(0, 40))
    assert figure(incident, "failed")["value"] == 3


def test_breaker_time(incident: Incident) -> None:
    """Each event lasts until the next one of its breaker; cut to the incident, only the open ones."""
    seconds = sql(
        """SELECT sum(CASE WHEN ends > %s THEN %s ELSE ends END - CASE WHEN at < %s THEN %s ELSE at END) / 1000.0
           FROM (SELECT e.at, e.kind, b.name,
                        coalesce(lead(e.at) OVER (PARTITION BY e.breaker_id ORDER BY e.id), %s) AS ends
                 FROM breaker_event e JOIN breaker b ON b.id = e.breaker_id) told
           WHERE name IN ('midtrans', 'smtp') AND kind IN ('opened', 'reopened', 'forced_open')
             AND ends > %s AND at < %s""",
        ms(at(40)),
        ms(at(40)),
        ms(at(0)),
        ms(at(0)),
        ms(at(40)),
        ms(at(0)),
        ms(at(40)),
    )
    found = figure(incident, "breaker_open")
    assert found["value"] == float(seconds) == (20 + 4 + 5) * 60
    assert found["parts"] == [{"name": "midtrans", "value": 1200}, {"name": "smtp", "value": 540}]


def test_times(incident: Incident) -> None:
    assert [figure(incident, key)["value"] for key in ("to_detect", "to_acknowledge", "to_resolve")] == [120, 210, 2400]


def test_what_has_not_happened_is_not_known(db: None) -> None:
    incident = make_incident(state="investigating", acknowledged_at=None, resolved_at=None)
    assert figure(incident, "to_acknowledge")["value"] is None
    assert figure(incident, "to_resolve")["value"] is None


def test_a_start_corrected_beyond_the_detection_makes_no_time_negative(db: None) -> None:
    assert figure(make_incident(started_at=at(4)), "to_detect")["value"] == 0


def test_pages_and_people(incident: Incident) -> None:
    of = """FROM alert_notification n JOIN alert_escalation e ON e.id = n.escalation_id
            JOIN incident_episode l ON l.episode_id = e.episode_id WHERE n.kind = 'page' AND n.outcome = 'queued'"""
    assert figure(incident, "pages")["value"] == sql(f"SELECT count(DISTINCT n.message_id) {of}") == 2
    assert figure(incident, "paged")["value"] == sql(f"SELECT count(DISTINCT n.recipient) {of}") == 2
    assert figure(incident, "alerts")["value"] == sql("SELECT count(*) FROM incident_episode") == 2


def test_an_incident_that_names_no_service_counts_all(db: None) -> None:
    for name in ("midtrans", "other"):
        message(name, sent_at=at(20))
    assert figure(make_incident(), "delayed")["value"] == 2


def test_services_of_alerts_and_of_merged_incidents_count(db: None) -> None:
    message("midtrans", sent_at=at(20))
    message("other", sent_at=at(20))
    incident = make_incident()
    about(make_incident(state="merged", merged_into=incident), "midtrans")
    assert figure(incident, "delayed")["value"] == 1


def test_an_incident_of_no_length(db: None) -> None:
    incident = make_incident(started_at=at(0), detected_at=at(0), acknowledged_at=None, resolved_at=at(0))
    assert [item["value"] for item in compute(scope_of(incident, at(60)))].count(0) == len(FIGURES) - 1


def test_rows_that_are_deleted_leave_the_figure_that_was_found(db: None) -> None:
    old = database_now() - timedelta(days=40)
    incident = make_incident(started_at=old, detected_at=old, acknowledged_at=old, resolved_at=old + timedelta(hours=1))
    earlier = {"delayed": {"key": "delayed", "value": 12, "parts": [], "at": "then"}}
    found = {item["key"]: item for item in compute(scope_of(incident, at(0)), earlier)}
    assert found["delayed"] == earlier["delayed"]
    assert found["failed"]["value"] == 0


def test_formulas_are_kept_in_english_whoever_looks(db: None) -> None:
    with translation.override("id"):
        found = compute(scope_of(make_incident(), at(60)))
    with translation.override("en"):
        assert {item["key"]: item["formula"] for item in found} == {key: str(BY_KEY[key].formula) for key in BY_KEY}
    assert all(item["at"] for item in found)


def test_rows_have_addresses(incident: Incident) -> None:
    scope = scope_of(incident, database_now())
    span = {"from": scope.start.isoformat(), "to": scope.end.isoformat()}
    assert url_of(BY_KEY["delayed"].rows(scope).as_dict(), span).startswith("/outbox?after=")
    assert url_of({"name": "no-such-page"}, span) == ""


# --- the stretches of a breaker -----------------------------------------------------------------
def told(*events: tuple[str, int]) -> list[Event]:
    return [Event("midtrans", at, kind) for kind, at in events]


@pytest.mark.parametrize(
    ("events", "seconds"),
    [
        ([("opened", 0)], 10),
        ([("opened", -5000)], 10),
        ([("opened", -5000), ("closed", 4000)], 4),
        ([("closed", 4000)], 4),  # what closes was open, also when its opening is no more
        ([("opened", 2000), ("reopened", 3000), ("closed", 5000)], 3),
        ([("opened", 2000), ("forced_closed", 5000)], 3),
        ([("forced_open", 2000), ("reset", 3000), ("opened", 9000)], 2),
        ([("closed", -1)], 0),
        ([("opened", 10_000)], 0),
    ],
)
def test_stretches(events: list[tuple[str, int]], seconds: float) -> None:
    found = stretches(told(*events), start=0, end=10_000)
    assert sum(item.seconds for item in found if item.state.value in ("OPEN", "FORCED_OPEN")) == seconds
    assert all(0 <= item.begins < item.ends <= 10_000 for item in found)


def test_a_forced_opening_ends_in_a_test(db: None) -> None:
    breaker("midtrans", ("forced_open", at(1)), ("override_ended", at(3)), ("closed", at(4)))
    incident = make_incident()
    about(incident, "midtrans")
    assert BreakerEvent.objects.count() == 3
    assert figure(incident, "breaker_open")["value"] == 180


def test_a_service_without_a_breaker(db: None) -> None:
    service("midtrans")
    incident = make_incident()
    about(incident, "midtrans")
    assert figure(incident, "breaker_open")["value"] == 0
