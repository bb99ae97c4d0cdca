from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.core.errors import Invalid
from apps.outbox.deadletters.selection import Selection, select
from tests.conftest import make_service
from tests.outbox.deadletters.factories import dead

AT = datetime(2026, 11, 21, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "selection"),
        ({"ids": []}, "selection"),
        ({"ids": "7"}, "ids"),
        ({"ids": [True]}, "ids"),
        ({"ids": [2**64]}, "ids"),
        ({"ids": [1] * 10_001}, "ids"),
        ({"ids": [1], "cause": "ab"}, "ids"),
        ({"cause": 5}, "cause"),
        ({"service": "a\x00"}, "service"),
        ({"reason": "bored"}, "reason"),
        ({"status_code": "500"}, "status_code"),
        ({"died_after": "yesterday"}, "died_after"),
        ({"died_before": "2026-11-21T09:00:00"}, "died_before"),
        ({"everything": "yes"}, "everything"),
        ({"everything": True, "service": "smtp"}, "everything"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_a_selection_names_the_field(data: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as error:
        select(data)
    assert [problem["field"] for problem in error.value.detail] == [field]


def test_it_says_itself_in_words() -> None:
    assert str(Selection(ids=(7,))) == "dead letter 7"
    assert str(Selection(ids=(7, 8))) == "2 chosen dead letters"
    assert str(Selection(everything=True)) == "all open dead letters"
    assert str(Selection(service="smtp", status_code=550)) == "service smtp, status_code 550"


def test_it_survives_json() -> None:
    data = {"service": "smtp", "status_code": 550, "died_after": "2026-11-21T09:00:00+00:00"}
    assert Selection.parse(data).as_dict() == data
    assert Selection.parse({"ids": [3, 3, 1]}).as_dict() == {"ids": [3, 1]}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"everything": True}, {0, 1, 2}),
        ({"service": "smtp"}, {2}),
        ({"tenant_id": "acme"}, {1}),
        ({"reason": "permanent"}, {1}),
        ({"status_code": 500}, {0, 2}),
        ({"died_after": AT.isoformat()}, {1, 2}),
        ({"died_before": AT.isoformat()}, {0}),
        ({"service": "midtrans", "died_after": AT.isoformat()}, {1}),
    ],
)
def test_filters(data: dict[str, Any], expected: set[int]) -> None:
    midtrans, smtp = make_service(), make_service("smtp", channel="email")
    letters = [
        dead(midtrans, died_at=AT - timedelta(hours=1)),
        dead(midtrans, died_at=AT, tenant_id="acme", reason="permanent", status_code=400),
        dead(smtp, died_at=AT + timedelta(hours=1)),
    ]
    dead(smtp, state="discarded")
    found = set(select(data).queryset().values_list("pk", flat=True))
    assert found == {letters[position].pk for position in expected}
