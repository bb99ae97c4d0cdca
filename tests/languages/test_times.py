"""Times in the person's zone: what is shown, what is typed, and the nights the clocks change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template
from django.test import Client
from django.utils import timezone, translation

from apps.accounts.models import User
from apps.core import human, language
from apps.core.language import LocalDateTimeField
from apps.core.live import fragment_hash
from apps.outbox.models import Message
from tests.conftest import make_service

Person = Callable[[str], Client]
NOON = datetime(2026, 11, 21, 10, 31, 4, tzinfo=UTC)


def render(source: str, **values: object) -> str:
    return Template("{% load ui %}" + source).render(Context(values))


def test_a_time_is_shown_in_the_zone_of_the_person() -> None:
    with timezone.override("Asia/Jakarta"):
        assert human.clock(NOON, NOON) == "17:31:04"
        assert human.clock_in_zone(NOON, NOON) == "17:31:04 WIB"
        assert human.exact(NOON) == "2026-11-21 17:31:04 WIB (UTC+07:00)"
    with timezone.override("Asia/Kathmandu"):
        assert human.exact(NOON) == "2026-11-21 16:16:04 UTC+05:45"
    with timezone.override("America/St_Johns"):
        assert human.exact(NOON) == "2026-11-21 07:01:04 NST (UTC-03:30)"
    assert human.exact(NOON) == "2026-11-21 10:31:04 UTC"


def test_today_is_the_persons_today() -> None:
    late, early = datetime(2026, 11, 21, 18, 0, tzinfo=UTC), datetime(2026, 11, 21, 16, 0, tzinfo=UTC)
    assert human.clock(early, late) == "16:00:00"
    with timezone.override("Asia/Jakarta"):  # midnight lies between the two
        assert human.clock(early, late) == "Nov 21 23:00"
    new_year = datetime(2026, 12, 31, 18, 0, tzinfo=UTC)
    with timezone.override("Asia/Jakarta"):
        assert human.clock(new_year - timedelta(hours=2), new_year) == "2026-12-31 23:00"


def test_months_have_names_of_the_language() -> None:
    with translation.override("id"):
        assert human.clock(datetime(2026, 8, 3, 12, 0, tzinfo=UTC), NOON) == "3 Agu 12:00"


def test_the_tags_show_zone_and_exact_time_and_leave_machines_utc() -> None:
    with timezone.override("Asia/Jakarta"):
        shown = render("{% clock at %}", at=NOON)
        assert 'datetime="2026-11-21T10:31:04Z"' in shown
        assert 'title="2026-11-21 17:31:04 WIB (UTC+07:00)"' in shown
        assert '<span class="zone"> WIB</span>' in shown
        assert 'title="2026-11-21 17:31:04 WIB (UTC+07:00)"' in render("{% ago at %}", at=NOON)
        assert render("{{ at|iso }}", at=timezone.localtime(NOON)) == "2026-11-21T10:31:04Z"


def test_another_zone_is_another_page_and_the_same_zone_is_not() -> None:
    with timezone.override("Asia/Jakarta"):
        there = render("{% ago at %}", at=NOON)
        assert fragment_hash(there) == fragment_hash(render("{% ago at %}", at=NOON))
    assert fragment_hash(there) != fragment_hash(render("{% ago at %}", at=NOON))


def test_the_server_time_of_a_page_stays_utc(db: None, person: Person) -> None:
    client = person("viewer")
    User.objects.update(time_zone="Asia/Jakarta")
    page = client.get("/services").content.decode()
    sent = datetime.fromisoformat(page.split('name="server-time" content="')[1].split('"')[0])
    assert abs(sent - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_page_is_in_the_persons_zone(db: None, person: Person) -> None:
    message = Message.objects.create(service=make_service(), payload="{}")
    Message.objects.filter(pk=message.pk).update(created_at=NOON)
    client = person("viewer")
    User.objects.update(time_zone="Asia/Makassar")
    page = client.get(f"/outbox/{message.pk}").content.decode()
    assert "2026-11-21 18:31:04 WITA (UTC+08:00)" in page
    assert "Asia/Makassar (WITA, UTC+08:00)" in page


# The clocks of New York: forward on 8 March 2026 at 2:00, back on 1 November 2026 at 2:00.
@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-03-08T01:59", "2026-03-08 06:59"),
        ("2026-03-08T02:30", "2026-03-08 07:30"),  # skipped: 3:30 in summer time
        ("2026-03-08T03:00", "2026-03-08 07:00"),
        ("2026-11-01T00:59", "2026-11-01 04:59"),
        ("2026-11-01T01:30", "2026-11-01 05:30"),  # happens twice: the first
        ("2026-11-01T02:00", "2026-11-01 07:00"),
    ],
)
def test_what_is_typed_on_the_nights_the_clocks_change(typed: str, meant: str) -> None:
    with timezone.override("America/New_York"):
        found = LocalDateTimeField().clean(typed)
    assert found is not None
    assert f"{found.astimezone(UTC):%Y-%m-%d %H:%M}" == meant


def test_an_hour_that_happens_twice_is_told_apart_by_its_zone() -> None:
    first, second = datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    with timezone.override("America/New_York"):
        assert human.exact(first) == "2026-11-01 01:30:00 EDT (UTC-04:00)"
        assert human.exact(second) == "2026-11-01 01:30:00 EST (UTC-05:00)"
        assert human.clock_in_zone(first, first) != human.clock_in_zone(second, second)


@pytest.mark.parametrize("text", ["2026-13-01T00:00", "yesterday", "2026-11-21T25:00", "21.11.2026 10:31"])
def test_what_is_no_time_is_refused(text: str) -> None:
    from django.core.exceptions import ValidationError

    with pytest.raises(ValidationError):
        LocalDateTimeField().clean(text)


def test_an_empty_time_that_is_not_needed_is_none() -> None:
    assert LocalDateTimeField(required=False).clean("") is None


def test_a_typed_time_comes_back_into_the_form_as_it_was_typed() -> None:
    with timezone.override("Asia/Jakarta"):
        field = LocalDateTimeField()
        found = field.clean("2026-11-21T17:31")
        assert found == NOON.replace(second=0)
        assert 'value="2026-11-21T17:31"' in field.widget.render("until", field.prepare_value(found))


def test_the_list_of_zones() -> None:
    zones = dict(language.time_zones(NOON))
    assert next(iter(zones)) == "UTC"
    assert zones["Asia/Jakarta"] == "Asia/Jakarta (WIB, UTC+07:00)"
    assert zones["Asia/Kathmandu"] == "Asia/Kathmandu (UTC+05:45)"
    assert zones["Europe/Berlin"] == "Europe/Berlin (CET, UTC+01:00)"
    assert dict(language.time_zones(datetime(2026, 7, 1, tzinfo=UTC)))["Europe/Berlin"].endswith("(CEST, UTC+02:00)")
    assert 300 < len(zones) < 600
    assert "Factory" not in zones


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Asia/Jakarta", True),
        ("Asia/Calcutta", True),  # what some browsers still say
        ("UTC", True),
        ("", False),
        ("../../etc/passwd", False),
        ("asia/jakarta", False),
        ("Factory", False),
    ],
)
def test_which_names_are_zones(name: str, known: bool) -> None:
    assert language.is_time_zone(name) is known
    assert str(language.zone_named(name)) == (name if known else "UTC")
