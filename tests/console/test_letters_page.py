"""Dead letters by cause and as a list: filters, order, paging."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from apps.core.clock import now
from apps.outbox.models import DeadLetter
from tests.conftest import make_service
from tests.outbox.deadletters.factories import dead

Person = Callable[[str], Client]


def causes_on(page: str) -> list[str]:
    return re.findall(r'data-key="([0-9a-f]{16})"', page)


@pytest.fixture
def three(db: None) -> dict[str, str]:
    """Three causes: three, two and one letters; the smallest died last and first of all."""
    midtrans, smtp = make_service(), make_service("smtp", channel="email")
    moment = now()
    big = [dead(midtrans, "bank is closed", tenant_id="acme", died_at=moment - timedelta(hours=5)) for _ in range(3)]
    mid = [dead(midtrans, "no such order 4711", died_at=moment - timedelta(hours=3)) for _ in range(2)]
    low = dead(smtp, "mailbox full", died_at=moment - timedelta(minutes=1))
    DeadLetter.objects.filter(pk=mid[0].pk).update(assignee="operator@example.com")
    return {"big": big[0].cause_id, "mid": mid[0].cause_id, "low": low.cause_id}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["big", "mid", "low"]),
        ("service=smtp", ["low"]),
        ("tenant=acme", ["big"]),
        ("assignee=me", ["mid"]),
        ("assignee=-", ["big", "low", "mid"]),
        ("q=BANK", ["big"]),
        ("q=order+99", ["mid"]),
        ("q=nothing-like-it", []),
        ("sort=last", ["low", "mid", "big"]),
        ("sort=first", ["big", "mid", "low"]),
        ("sort=tenants", None),
        ("sort=wrong&state=wrong&service=wrong", ["big", "mid", "low"]),
    ],
)
def test_filters_and_order(query: str, expected: list[str] | None, three: dict[str, str], person: Person) -> None:
    answer = person("operator").get(f"/dead-letters?{query}")
    assert answer.status_code == 200
    found = causes_on(answer.content.decode())
    if expected is None:
        assert sorted(found) == sorted(three.values())
    elif query == "assignee=-":
        assert sorted(found) == sorted(three[name] for name in expected)
    else:
        assert found == [three[name] for name in expected]


@pytest.mark.parametrize("sort", ["letters", "last", "first", "tenants"])
def test_pages_of_causes_hold_each_once(sort: str, person: Person) -> None:
    service = make_service()
    for number in range(60):
        for _ in range(number % 3 + 1):
            dead(service, "failed " + "abcdefghijklmnopqrstuvwxyz"[number % 26] * (number // 26 + 1))
    client, seen, query = person("viewer"), [], f"?sort={'' if sort == 'letters' else sort}"
    for _ in range(4):
        page = client.get(f"/dead-letters{query}").content.decode()
        seen += causes_on(page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        if not following:
            break
        query = following[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == DeadLetter.objects.values("cause_id").distinct().count() == 60


def test_a_wrong_cursor_is_said(person: Person, three: dict[str, str]) -> None:
    assert person("viewer").get("/dead-letters?cursor=7").status_code == 422
    assert person("viewer").get("/dead-letters?sort=last&cursor=soon~x").status_code == 422


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 6), ("state=all", 6), ("state=discarded", 0), ("assignee=me", 1), ("q=mailbox", 1), ("service=smtp", 1)],
)
def test_the_list(query: str, count: int, three: dict[str, str], person: Person) -> None:
    page = person("operator").get(f"/dead-letters/letters?{query}").content.decode()
    assert len(re.findall(r'class="main-link mono"', page)) == count


def test_a_hundred_letters_are_two_pages_and_all_can_be_meant(person: Person) -> None:
    service = make_service()
    some = [dead(service) for _ in range(70)]
    client = person("operator")
    page = client.get("/dead-letters/letters").content.decode()
    assert 'data-total="70"' in page
    assert 'name="all-up_to"' in page
    older = re.search(r'rel="next" href="([^"]+)"', page)
    assert older
    second = client.get("/dead-letters/letters" + older[1].replace("&amp;", "&")).content.decode()
    assert len(re.findall(r'name="ids"', second)) == 20
    assert f'value="{some[0].pk}"' in second
