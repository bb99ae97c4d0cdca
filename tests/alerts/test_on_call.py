"""Who is on call is changed by services; each leaves a row in the trail."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import pytest

from apps.alerts.models import Rotation
from apps.alerts.on_call import (
    Person,
    Plan,
    change_rotation,
    create_rotation,
    end_instead,
    put_instead,
    remove_rotation,
)
from apps.alerts.policies import save_routing
from apps.alerts.reaching import who
from apps.alerts.routing import DEFAULT
from apps.audit.models import AuditEntry
from apps.core.actor import ALERTS_READ, SYSTEM, Actor
from apps.core.db import database_now
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from tests.conftest import make_service

pytestmark = pytest.mark.django_db
ANA, BUDI = Person("ana@example.com", "+628111111111"), Person("budi@example.com", "+628222222222")
OUTSIDE = Person("dewi@example.com", "+628333333333")


@pytest.fixture(autouse=True)
def whatsapp(db: None) -> None:
    make_service("whatsapp", channel="whatsapp", settings={"phone_number_id": "1"})
    make_service("pagerduty", channel="pagerduty", settings={})


def plan(**fields: Any) -> Plan:
    day = fields.pop("first_day", database_now() - timedelta(days=1))
    given = {"service": "whatsapp", "people": [ANA, BUDI], "days": 7, "at": time(0), "zone": "UTC", **fields}
    return Plan(first_day=day, **given)


def made(**fields: Any) -> Rotation:
    return create_rotation(name="platform", plan=plan(**fields), actor=SYSTEM)


def now_on_call() -> str:
    found = who(Rotation.objects.get(pk="platform"), database_now())
    return found["email"] if found else ""


def wrong(**fields: Any) -> set[str]:
    with pytest.raises(Invalid) as caught:
        made(**fields)
    return {problem["field"] for problem in caught.value.detail}


def test_made_and_kept_in_the_trail_without_numbers() -> None:
    made()
    assert now_on_call() == "ana@example.com"
    entry = AuditEntry.objects.get(action="rotation.created")
    assert entry.target == "rotation:platform"
    assert "628111111111" not in str(entry.after)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"service": "nowhere"}, {"service"}),
        ({"people": []}, {"people"}),
        ({"people": [ANA, ANA]}, {"people"}),
        ({"people": [Person("ana@example.com")]}, {"people"}),
        ({"people": [Person("nobody", "+62")]}, {"people"}),
        ({"people": [Person("a@b\x00", "+62")]}, {"people"}),
        ({"days": 0}, {"days"}),
        ({"days": 91, "zone": "Mars/Olympus"}, {"days", "zone"}),
        ({"zone": "../../etc/passwd"}, {"zone"}),
        ({"first_day": datetime(9999, 1, 1)}, {"first_day"}),
        ({"first_day": datetime(1, 1, 1)}, {"first_day"}),
    ],
)
def test_each_field_that_is_wrong_is_named(fields: dict[str, Any], named: set[str]) -> None:
    assert wrong(**fields) == named


def test_a_service_that_needs_no_recipient_takes_people_without() -> None:
    made(service="pagerduty", people=[Person("ana@example.com")])


def test_a_name_is_taken_once() -> None:
    made()
    with pytest.raises(Conflict):
        made()
    with pytest.raises(Invalid):
        create_rotation(name="new", plan=plan(), actor=SYSTEM)


def test_a_change_holds_at_once_and_two_at_a_time_notice() -> None:
    rotation = made()
    change_rotation(
        name="platform", plan=plan(people=[BUDI]), actor=SYSTEM, reason="ana left", seen_version=rotation.version
    )
    assert now_on_call() == "budi@example.com"
    with pytest.raises(Conflict):
        change_rotation(name="platform", plan=plan(), actor=SYSTEM, reason="x", seen_version=rotation.version)
    with pytest.raises(Invalid):
        change_rotation(name="platform", plan=plan(), actor=SYSTEM, reason=" ", seen_version=2)


def instead(person: Person = BUDI, **fields: Any) -> Any:
    given = {"since": None, "until": database_now() + timedelta(hours=8), "reason": "ill", **fields}
    return put_instead(name="platform", person=person, actor=SYSTEM, **given)


def test_somebody_instead_and_ended_early() -> None:
    made()
    override = instead()
    assert now_on_call() == "budi@example.com"
    end_instead(name="platform", override_id=override.pk, actor=SYSTEM)
    assert now_on_call() == "ana@example.com"
    with pytest.raises(Conflict):
        end_instead(name="platform", override_id=override.pk, actor=SYSTEM)
    assert AuditEntry.objects.filter(target="rotation:platform").count() == 3


def test_who_comes_from_outside_is_reached() -> None:
    made()
    instead(OUTSIDE)
    found = who(Rotation.objects.get(), database_now())
    assert found == {"email": OUTSIDE.email, "recipient": OUTSIDE.recipient}
    with pytest.raises(Invalid):
        instead(Person("eka@example.com"))


def test_who_stands_in_and_is_taken_out_of_the_rotation_is_still_reached() -> None:
    rotation = made()
    instead(BUDI)
    change_rotation(name="platform", plan=plan(people=[ANA]), actor=SYSTEM, reason="x", seen_version=rotation.version)
    assert who(Rotation.objects.get(), database_now()) == {"email": BUDI.email, "recipient": BUDI.recipient}


def test_one_that_has_not_begun_never_does() -> None:
    made()
    override = instead(since=database_now() + timedelta(days=1), until=database_now() + timedelta(days=2))
    ended = end_instead(name="platform", override_id=override.pk, actor=SYSTEM)
    assert ended.since <= ended.until <= database_now()


@pytest.mark.parametrize(("since", "until"), [(0, -1), (5, 5), (5, 4), (0, 24 * 400), (24 * 400, 24 * 401)], ids=str)
def test_a_span_that_makes_no_sense(since: int, until: int) -> None:
    made()
    at = database_now()
    with pytest.raises(Invalid):
        instead(since=at + timedelta(hours=since), until=at + timedelta(hours=until))


def test_one_that_the_routing_tells_is_not_removed() -> None:
    made()
    document = {**DEFAULT, "targets": {**DEFAULT["targets"], "on-call": {"rotation": "platform"}}}
    save_routing(document=document, actor=SYSTEM, reason="x")
    with pytest.raises(Conflict):
        remove_rotation(name="platform", actor=SYSTEM, reason="x")
    save_routing(document=DEFAULT, actor=SYSTEM, reason="x")
    remove_rotation(name="platform", actor=SYSTEM, reason="x")
    with pytest.raises(NotFound):
        remove_rotation(name="platform", actor=SYSTEM, reason="x")


def test_who_may_only_look_changes_nothing() -> None:
    made()
    viewer = Actor("person", "viewer@example.com", frozenset({ALERTS_READ}))
    with pytest.raises(Forbidden):
        put_instead(name="platform", person=BUDI, since=None, until=database_now(), actor=viewer, reason="x")
    with pytest.raises(Forbidden):
        create_rotation(name="other", plan=plan(), actor=viewer)
