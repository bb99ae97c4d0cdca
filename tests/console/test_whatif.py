"""What-if: the page over the stored buckets. The replay itself is in tests/breakers/test_whatif.py."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from django.test import Client

from apps.breakers.history import HISTORY_MS
from apps.breakers.models import BreakerEvent, HistoryBucket, SharedBreaker
from apps.breakers.past import past
from apps.breakers.selectors import database_ms
from apps.console.selectors.whatif import what_if
from apps.services.models import Service
from apps.services.policies import BreakerPolicy
from tests.conftest import make_service

Person = Callable[[str], Client]
PATH = "/services/midtrans/what-if"


@pytest.fixture
def hour(db: None) -> SharedBreaker:
    """An hour of ten calls per bucket; at minute 10 and at minute 30 four of ten fail for half a minute."""
    make_service("midtrans", breaker={"error_threshold_percentage": 50, "volume_threshold": 5, "reset_timeout": 60})
    breaker = SharedBreaker.objects.create(name="midtrans")
    start = database_ms() // HISTORY_MS * HISTORY_MS - 360 * HISTORY_MS
    HistoryBucket.objects.bulk_create(
        HistoryBucket(
            breaker=breaker,
            at=start + step * HISTORY_MS,
            ok=6 if step // 3 in (20, 60) else 10,
            fail=4 if step // 3 in (20, 60) else 0,
        )
        for step in range(360)
    )
    return breaker


def test_a_lower_threshold_would_have_opened_it_twice(hour: SharedBreaker) -> None:
    service = Service.objects.get(pk="midtrans")
    policy = BreakerPolicy.parse({**service.breaker, "error_threshold_percentage": 40}, at="breaker")
    found = what_if(service, policy, days=7)
    assert [len(variant.openings) for variant in found.variants] == [0, 0, 2]
    assert found.sentence.startswith("It would have opened 2 times in 7 days (now: 0), longest 1 min")
    assert found.edits == {"error_threshold_percentage": 40}
    assert found.calls == 3600
    assert not found.known_whole


def test_the_present_settings_reproduce_what_happened(hour: SharedBreaker) -> None:
    assert (
        what_if(Service.objects.get(pk="midtrans"), Service.objects.get(pk="midtrans").breaker_policy, days=1).edits
        == {}
    )
    now = database_ms()
    for kind, ago in (("opened", 600_000), ("reopened", 540_000), ("closed", 420_000), ("forced_open", 60_000)):
        BreakerEvent.objects.create(breaker=hour, at=now - ago, epoch=1, kind=kind, detail={"counts": {"fail": 7}})
    known = past("midtrans", days=1)
    (opening,) = known.openings
    assert (round(opening.seconds(known.until)), opening.failed_tests, opening.counts.fail) == (180, 1, 7)
    assert [test.ok for test in known.tests] == [False, True]
    assert round(known.shut_seconds) == 240


def test_a_breaker_that_was_open_before_the_time_began_is_shut_from_its_begin(hour: SharedBreaker) -> None:
    now = database_ms()
    BreakerEvent.objects.create(breaker=hour, at=now - 2 * 86_400_000, epoch=1, kind="opened")
    BreakerEvent.objects.create(breaker=hour, at=now - 86_000_000, epoch=2, kind="closed")
    known = past("midtrans", days=1)
    assert known.openings == []
    assert round(known.shut_seconds) == 400


def test_the_page_answers_and_leads_to_the_settings_prefilled(hour: SharedBreaker, person: Person) -> None:
    client = person("lead")
    page = client.get(f"{PATH}?error_threshold_percentage=40&volume_threshold=6&days=1").content.decode()
    assert "It would have opened 2 times in 1 day (now: 0)" in page
    link = re.search(r'href="(/services/midtrans/settings\?breaker[^"]+)"', page)
    assert link is not None
    form = client.get(link[1].replace("&amp;", "&")).context["form"]
    edited = json.loads(form.initial["breaker"])
    assert edited == {"error_threshold_percentage": 40, "volume_threshold": 6, "reset_timeout": 60}
    # Looking saves nothing.
    assert Service.objects.get(pk="midtrans").breaker["error_threshold_percentage"] == 50


def test_a_viewer_may_ask_but_is_offered_no_change(hour: SharedBreaker, person: Person) -> None:
    page = person("viewer").get(f"{PATH}?error_threshold_percentage=40").content.decode()
    assert "It would have opened" in page
    assert "Put these into the settings" not in page


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("error_threshold_percentage=0", "should be greater than 0"),
        ("volume_threshold=x", "whole number"),
        ("half_open_permits=0", "should be greater than or equal to 1"),
        ("days=99", "99 is not one of the available choices"),
    ],
)
def test_what_cannot_be_asked_is_explained(hour: SharedBreaker, person: Person, query: str, said: str) -> None:
    answer = person("viewer").get(f"{PATH}?{query}")
    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_nothing_counted_is_said(person: Person) -> None:
    make_service("midtrans")
    page = person("viewer").get(PATH).content.decode()
    assert "Nothing was counted in this time" in page


def test_a_settings_link_with_nonsense_is_refused(hour: SharedBreaker, person: Person) -> None:
    assert person("lead").get("/services/midtrans/settings?breaker.volume_threshold=many").status_code == 422
