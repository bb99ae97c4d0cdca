from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from apps.audit.canonical import canonical_json, clean_text, plain
from apps.audit.models import AuditEntry
from apps.audit.services import changed_fields
from apps.audit.verification import verify_chain
from apps.core import context
from tests.audit.trail import note


@pytest.mark.django_db
def test_an_entry_says_who_what_why_from_where_before_and_after() -> None:
    token = context.request_id.set("req-1")
    try:
        made = note(before={"cap": 60}, after={"cap": 90}, reason="slow provider")
    finally:
        context.request_id.reset(token)
    entry = AuditEntry.objects.get(pk=made.pk)
    assert (entry.actor, entry.actor_kind, entry.ip) == ("ann@example.com", "person", "10.0.0.1")
    assert (entry.before, entry.after, entry.reason) == ({"cap": 60}, {"cap": 90}, "slow provider")
    assert entry.request_id == "req-1"


@pytest.mark.django_db
def test_each_entry_is_chained_to_the_one_before() -> None:
    first, second = note(), note()
    assert first.previous_hash == ""
    assert second.previous_hash == first.hash
    assert verify_chain().checked == 2
    assert verify_chain().broken_at is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "value",
    [
        {"float": 1e20, "tiny": 1e-7, "half": 0.5, "minus": -0.0, "one": 1.0, "big": 2**70, "third": 1 / 3},
        {"nan": math.nan, "inf": math.inf, "when": datetime(2026, 1, 1, tzinfo=UTC), "money": Decimal("1.10")},
        {"nul": "a\x00b", "half": "\ud800", "emoji": "😀", "\x00key": 1, "nested": [{"a": (1, 2)}, {"s": {3, 1}}]},
        ["list", None, True, False],
        "text",
        None,
        0,
        {},
    ],
)
def test_any_value_verifies_after_a_round_trip_through_the_database(value: Any) -> None:
    note(before=value, after=value, reason="\x00")
    assert verify_chain().broken_at is None
    assert verify_chain().checked == 1


@pytest.mark.django_db
def test_the_database_refuses_to_change_a_row() -> None:
    made = note()
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.filter(pk=made.pk).update(actor="somebody else")


@pytest.mark.django_db(transaction=True)
def test_many_appenders_make_one_chain() -> None:
    def append(number: int) -> None:
        try:
            with transaction.atomic():
                note(reason=str(number))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(40)))
    assert verify_chain().checked == 40
    assert verify_chain().broken_at is None


@pytest.mark.django_db(transaction=True)
def test_the_entry_goes_with_the_change_that_is_rolled_back() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        print(note().pk / 0)
    assert not AuditEntry.objects.exists()


def test_text_is_cut_and_storable() -> None:
    assert clean_text("a" * 10, 4) == "aaa…"
    assert clean_text("a\x00\ud800", 10) == "a\ufffd?"


def test_canonical_json_is_one_text_per_value() -> None:
    assert canonical_json(plain({"b": 1.0, "a": "é"})) == '{"a":"é","b":1}'


def test_only_what_differs_is_kept() -> None:
    assert changed_fields({"a": 1, "b": 1.0}, {"a": 2, "b": 1, "c": 3}) == ({"a": 1, "c": None}, {"a": 2, "c": 3})


@pytest.mark.django_db
def test_commands_list_and_verify() -> None:
    note()
    note(target="service:smtp")
    out = StringIO()
    call_command("audit", "list", "--target", "service:smtp", "--json", stdout=out)
    assert '"target": "service:smtp"' in out.getvalue()
    assert "midtrans" not in out.getvalue()
    out = StringIO()
    call_command("audit", "verify", stdout=out)
    assert "2 entries" in out.getvalue()
