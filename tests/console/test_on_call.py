"""Who is on call, in front of a browser."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.alerts.models import Rotation, RotationOverride
from apps.alerts.reaching import who
from apps.core.clock import now
from tests.conftest import make_service

pytestmark = pytest.mark.django_db
Person = Callable[[str], Client]


def words(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, url
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


def moment(**span: float) -> str:
    return f"{now() + timedelta(**span):%Y-%m-%dT%H:%M}"


def rotation(**fields: str) -> dict[str, str]:
    day = f"{now() - timedelta(days=1):%Y-%m-%d}"
    people = "Ana@example.com, +628111\n\nbudi@example.com, +628222"
    given = {"name": "shop", "service": "whatsapp", "people": people, "days": "7", "at": "00:00", "zone": "UTC"}
    return {**given, "first_day": day, "reason": "begins", **fields}


@pytest.fixture(autouse=True)
def whatsapp(db: None) -> None:
    make_service("whatsapp", channel="whatsapp", settings={"phone_number_id": "1"})


def on_call(name: str = "shop") -> str:
    found = who(Rotation.objects.get(pk=name), now())
    return found["email"] if found else ""


def test_a_rotation_is_made_changed_and_removed(person: Person) -> None:
    lead = person("lead")
    assert lead.post("/on-call/new", rotation()).status_code == 302
    assert on_call() == "ana@example.com"
    changed = rotation(people="budi@example.com, +628222", seen_version="1")
    answer = lead.post("/on-call/shop/edit", changed, follow=True)
    assert "budi@example.com is on call now" in html.unescape(answer.content.decode())
    assert lead.post("/on-call/shop/edit", changed).status_code == 422
    assert lead.post("/on-call/shop/remove", {"reason": "gone"}).status_code == 302
    assert not Rotation.objects.exists()


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"people": "ana@example.com"}, "say how ana@example.com is reached"),
        ({"people": "nobody, +62"}, "is no e-mail address"),
        ({"zone": "Mars/Olympus"}, "There is no time zone"),
        ({"first_day": "9999-01-01"}, "within ten years"),
        ({"first_day": "0001-01-01"}, "within ten years"),
        ({"at": "25:00"}, "valid time"),
        ({"days": "0"}, "greater than or equal to 1"),
        ({"name": "new"}, "use letters, digits"),
        ({"reason": ""}, "it goes into the audit trail"),
    ],
)
def test_what_is_wrong_stands_at_its_field(person: Person, fields: dict[str, str], part: str) -> None:
    answer = person("lead").post("/on-call/new", rotation(**fields))
    assert answer.status_code == 422
    assert part in html.unescape(answer.content.decode())
    assert not Rotation.objects.exists()


def test_nobody_is_said_loudly(person: Person) -> None:
    lead = person("lead")
    lead.post("/on-call/new", rotation(first_day=f"{now() + timedelta(days=3):%Y-%m-%d}"))
    for url in ("/on-call", "/on-call/shop"):
        assert "Nobody is on call in shop" in words(person("viewer"), url)


def test_handed_over_until_a_time_and_ended_early(person: Person) -> None:
    person("lead").post("/on-call/new", rotation())
    operator = person("operator")
    given = {"person": "budi@example.com", "until": moment(hours=3), "reason": "dentist"}
    assert operator.post("/on-call/shop/hand-over", given).status_code == 302
    assert on_call() == "budi@example.com"
    assert "instead: dentist" in words(operator, "/on-call/shop")
    override = RotationOverride.objects.get()
    operator.post(f"/on-call/shop/overrides/{override.pk}/end", {"reason": ""})
    assert on_call() == "ana@example.com"
    assert operator.post(f"/on-call/shop/overrides/{override.pk}/end").status_code == 422
    assert operator.get(f"/on-call/other/overrides/{override.pk}/end").status_code == 404


def test_somebody_from_outside_later(person: Person) -> None:
    person("lead").post("/on-call/new", rotation())
    given = {"person": "", "other": "dewi@example.com, +628333", "since": moment(hours=1), "until": moment(hours=2)}
    assert person("operator").post("/on-call/shop/instead", {**given, "reason": "x"}).status_code == 302
    override = RotationOverride.objects.get()
    assert (override.person, override.recipient) == ("dewi@example.com", "+628333")
    assert on_call() == "ana@example.com"
    assert "dewi@example.com" in words(person("viewer"), "/on-call/shop")


@pytest.mark.parametrize(
    "fields",
    [{"until": ""}, {"until": "2001-01-01T00:00"}, {"since": "2100-01-01T00:00"}, {"other": ""}, {"reason": ""}],
    ids=str,
)
def test_an_override_that_makes_no_sense(person: Person, fields: dict[str, str]) -> None:
    person("lead").post("/on-call/new", rotation())
    given = {"person": "", "other": "dewi@example.com, +628333", "until": moment(hours=2), "reason": "x", **fields}
    assert person("operator").post("/on-call/shop/instead", given).status_code == 422
    assert not RotationOverride.objects.exists()


def test_times_are_the_readers(person: Person) -> None:
    lead = person("lead")
    User.objects.filter(role="lead").update(time_zone="Asia/Jakarta")
    lead.post("/on-call/new", rotation())
    at = now() + timedelta(days=2)
    typed = (at + timedelta(hours=7)).strftime("%Y-%m-%dT%H:%M")
    lead.post("/on-call/shop/hand-over", {"person": "budi@example.com", "until": typed, "reason": "x"})
    assert abs(RotationOverride.objects.get().until - at) < timedelta(minutes=1)
    assert (at + timedelta(hours=7)).strftime("%H:%M") in words(lead, "/on-call/shop")
    assert "Asia/Jakarta" in words(lead, "/on-call")


def test_you_are_told_when_it_is_you(person: Person) -> None:
    person("lead").post("/on-call/new", rotation(people="viewer@example.com, +628111"))
    assert "You are on call in shop" in words(person("viewer"), "/on-call")


def test_numbers_are_masked_for_who_may_not_reveal(person: Person) -> None:
    person("lead").post("/on-call/new", rotation(people="ana@example.com, +6281112223"))
    assert "+6281112223" not in words(person("viewer"), "/on-call/shop")
    assert "+6281112223" in words(person("operator"), "/on-call/shop")


def test_hostile_names_and_reasons_are_harmless(person: Person) -> None:
    person("lead").post("/on-call/new", rotation())
    given = {"person": "budi@example.com", "until": moment(hours=3), "reason": "<script>alert(1)</script>"}
    person("operator").post("/on-call/shop/hand-over", given)
    assert b"<script>alert" not in person("viewer").get("/on-call/shop").content
