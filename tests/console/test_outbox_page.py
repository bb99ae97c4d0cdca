"""The outbox as people use it: finding, filters in the address bar, times in their zone, export, one message."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.breakers.models import BreakerEvent, SharedBreaker
from apps.core.actor import Actor
from apps.outbox import search
from apps.outbox.actions import cancel, retry_now
from apps.outbox.models import Attempt, Message
from apps.services.services import pause, resume
from tests.conftest import make_service
from tests.outbox.deadletters.factories import dead
from tests.outbox.factories import put

Person = Callable[[str], Client]
SHOWN = re.compile(r'data-key="m(\d+)"')


@pytest.fixture(autouse=True)
def empty_cache() -> Any:
    cache.clear()
    yield
    cache.clear()


def shown(client: Client, query: str) -> list[int]:
    """The messages a page lists, by number."""
    response = client.get(f"/outbox?{query}")
    assert response.status_code == 200, response.content[:500]
    return [int(found) for found in SHOWN.findall(response.content.decode())]


@pytest.fixture
def mixed(db: None) -> dict[str, Message]:
    """One message of each kind that people look for."""
    shop, mail = make_service(), make_service("smtp", channel="email", settings={"host": "127.0.0.1", "port": 9})
    return {
        "mail": put(mail, recipient="Budi@Example.com", subject="Your order", tenant_id="acme", status="SENT"),
        "paid": put(shop, idempotency_key="order-7", ordering_key="cart-1", tenant_id="acme"),
        "dead": put(shop, status="DLQ", last_error="answered 503 for budi@example.com", recipient="+62812000111"),
        "old": put(shop, status="EXPIRED", created_at=timezone.now() - timedelta(days=9)),
    }


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["old", "dead", "paid", "mail"]),
        ("status=waiting", ["paid"]),
        ("status=dlq", ["dead"]),
        ("status=expired", ["old"]),
        ("service=smtp", ["mail"]),
        ("channel=email", ["mail"]),
        ("channel=whatsapp", []),
        ("tenant=acme", ["paid", "mail"]),
        ("tenant=acme&status=sent", ["mail"]),
        ("key=cart-1", ["paid"]),
        ("q=order-7", ["paid"]),
        ("q=budi", ["mail"]),
        ("q=BUDI@example.COM", ["mail"]),
        ("q=%2B62812", ["dead"]),
        ("q=answered", ["dead"]),
        ("recipient=budi", ["mail"]),
        ("recipient=example", ["mail"]),
        ("error=503", ["dead"]),
        ("since=1h", ["dead", "paid", "mail"]),
        ("since=30d&status=expired", ["old"]),
        ("q=no-such-thing", []),
        ("q=msg_00000000000040008000000000000000", []),
    ],
)
def test_messages_are_found_by_what_is_known_of_them(
    mixed: dict[str, Message], person: Person, query: str, names: list[str]
) -> None:
    assert shown(person("operator"), query) == [mixed[name].pk for name in names]


def test_the_number_and_the_wire_id_find_one(mixed: dict[str, Message], person: Person) -> None:
    wanted = Message.objects.get(pk=mixed["dead"].pk)
    for text in (str(wanted.pk), wanted.wire_id, f" {wanted.wire_id} "):
        assert shown(person("viewer"), f"q={text}") == [wanted.pk]


def test_who_may_not_see_recipients_does_not_find_by_them(mixed: dict[str, Message], person: Person) -> None:
    viewer = person("viewer")
    for query in ("q=budi", "q=answered", "q=Your", "q=%2B62812"):
        assert shown(viewer, query) == [], query
    everything = [mixed[name].pk for name in ("old", "dead", "paid", "mail")]
    # The fields are not there for a viewer, so they filter nothing.
    assert shown(viewer, "recipient=budi") == shown(viewer, "error=503") == everything
    page = viewer.get("/outbox").content.decode()
    assert 'name="recipient"' not in page
    assert 'name="error"' not in page
    assert shown(viewer, "q=order-7") == [mixed["paid"].pk]


def test_filters_are_chips_that_can_be_taken_away_one_by_one(mixed: dict[str, Message], person: Person) -> None:
    page = person("operator").get("/outbox?service=midtrans&tenant=acme&status=waiting&cursor=999").content.decode()
    assert 'href="?tenant=acme&amp;status=waiting"' in page
    assert 'href="?service=midtrans&amp;status=waiting"' in page
    assert page.count("take this filter away") == 2


def test_a_range_is_typed_in_the_person_s_zone(mixed: dict[str, Message], person: Person) -> None:
    at = datetime(2026, 3, 1, 3, 30, tzinfo=UTC)  # 10:30 in Jakarta
    Message.objects.filter(pk=mixed["old"].pk).update(created_at=at)
    client = person("operator")
    User.objects.filter(role="operator").update(time_zone="Asia/Jakarta")
    assert shown(client, "after=2026-03-01T10:00&before=2026-03-01T11:00") == [mixed["old"].pk]
    assert shown(client, "after=2026-03-01T03:00&before=2026-03-01T04:00") == []
    assert "WIB" in client.get("/outbox?after=2026-03-01T10:00").content.decode()


def test_a_range_that_makes_no_sense_is_said(mixed: dict[str, Message], person: Person) -> None:
    page = person("operator").get("/outbox?after=2026-03-01T10:00&before=2026-03-01T09:00").content.decode()
    assert "ends before it begins" in page
    assert person("operator").get("/outbox?after=yesterday").status_code == 200


def test_times_and_ids_out_of_step_are_still_found(mixed: dict[str, Message], person: Person) -> None:
    """A transaction that began long ago gives an old time to a new id."""
    late = put(make_service("late"), created_at=timezone.now() - timedelta(hours=3))
    assert late.pk in shown(person("operator"), "since=6h")
    assert late.pk not in shown(person("operator"), "since=1h")


def test_a_bounded_search_says_how_far_it_looked_and_goes_on(
    mixed: dict[str, Message], person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "WINDOW", 2)
    monkeypatch.setattr(search, "TEXT_WINDOW", 2)
    client = person("operator")
    for query in ("tenant=acme&service=smtp", "q=Your+order"):
        page = client.get(f"/outbox?{query}").content.decode()
        assert SHOWN.findall(page) == []
        assert f"Looked through 2 messages, down to message {mixed['dead'].pk}" in page
        assert "No message matches" not in page
        assert shown(client, f"{query}&cursor={mixed['dead'].pk}") == [mixed["mail"].pk]


def test_many_recipients_that_begin_alike(
    mixed: dict[str, Message], person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_HITS", 1)
    more = put(make_service("more"), recipient="budiman@example.com")
    assert shown(person("operator"), "q=budi") == [more.pk, mixed["mail"].pk]


def test_every_page_of_a_search_together_is_all_of_it(db: None, person: Person) -> None:
    service = make_service()
    ids = [put(service, tenant_id="acme" if number % 2 else "other").pk for number in range(130)]
    client, found, cursor = person("viewer"), [], ""
    while True:
        page = client.get(f"/outbox?tenant=acme{cursor}").content.decode()
        found += [int(text) for text in SHOWN.findall(page)]
        onward = re.search(r'rel="next" href="\?tenant=acme&amp;cursor=(\d+)"', page)
        if onward is None:
            break
        cursor = f"&cursor={onward[1]}"
    assert found == ids[1::2][::-1]


def test_new_messages_wait_behind_a_chip(mixed: dict[str, Message], person: Person) -> None:
    client, newest = person("operator"), mixed["old"].pk
    put(mixed["paid"].service, tenant_id="acme")
    put(mixed["paid"].service)
    headers = {"X-Live": "1", "HX-Request": "true", "X-Live-Anchor": str(newest)}
    page = client.get("/outbox?tenant=acme", headers=headers).content.decode()
    assert "1 new" in page
    assert SHOWN.findall(page) == [str(mixed[name].pk) for name in ("paid", "mail")]


# --- export ----------------------------------------------------------------------------------------
def rows_of(response: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def test_the_export_is_what_the_filters_show_and_masked(mixed: dict[str, Message], person: Person) -> None:
    rows = rows_of(person("viewer").get("/outbox/export?tenant=acme"))
    assert [int(row["id"]) for row in rows] == [mixed["paid"].pk, mixed["mail"].pk]
    assert rows[1]["recipient"] == "B•••@Example.com"
    assert "budi@example.com" not in person("viewer").get("/outbox/export").content.decode()
    assert not AuditEntry.objects.exists()


def test_an_export_in_clear_needs_the_permission_and_is_in_the_trail(mixed: dict[str, Message], person: Person) -> None:
    assert person("viewer").post("/outbox/export", {"reveal": "1"}).status_code == 403
    assert not AuditEntry.objects.exists()
    rows = rows_of(person("operator").post("/outbox/export?status=dlq", {"reveal": "1"}))
    assert rows[0]["last_error"] == "answered 503 for budi@example.com"
    # A spreadsheet would take a cell that begins with + for a formula.
    assert rows[0]["recipient"] == "'+62812000111"
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.after) == ("outbox.exported", {"messages": 1, "statuses": ["DLQ"]})


# --- one message -------------------------------------------------------------------------------------
def test_a_wait_for_the_breaker_stands_between_the_attempts(db: None, person: Person) -> None:
    start = timezone.now() - timedelta(minutes=30)
    message = put(make_service(), status="SENT", created_at=start, sent_at=start + timedelta(minutes=20))
    breaker = SharedBreaker.objects.create(name="midtrans")
    for kind, minute in (("opened", 2), ("reopened", 5), ("closed", 12), ("opened", 25)):
        at = int((start + timedelta(minutes=minute)).timestamp() * 1000)
        BreakerEvent.objects.create(breaker=breaker, at=at, epoch=minute, kind=kind)
    page = person("viewer").get(f"/outbox/{message.pk}").content.decode()
    assert "The breaker of midtrans was open for 10 min" in page
    assert page.count("The breaker of midtrans") == 1  # what came after it was sent did not hold it


def test_pauses_of_its_service_are_told(db: None, person: Person, lead: Actor) -> None:
    message = put(make_service())
    pause(name="midtrans", actor=lead, reason="bank maintenance")
    page = person("viewer").get(f"/outbox/{message.pk}").content.decode()
    assert "midtrans is paused" in page
    assert "bank maintenance" in page
    resume(name="midtrans", actor=lead)
    cache.clear()
    assert "midtrans was paused for" in person("viewer").get(f"/outbox/{message.pk}").content.decode()


def test_what_people_did_is_told_to_who_may_read_the_trail(db: None, person: Person, lead: Actor) -> None:
    message = put(make_service(), next_attempt_at=timezone.now() + timedelta(hours=1))
    retry_now(message_id=message.pk, actor=lead)
    cancel(message_id=message.pk, actor=lead, reason="ordered twice")
    told = person("operator").get(f"/outbox/{message.pk}").content.decode()
    assert "Made due at once by lead@example.com" in told
    assert "Cancelled by lead@example.com" in told
    assert "ordered twice" in told
    kept = person("viewer").get(f"/outbox/{message.pk}").content.decode()
    assert "lead@example.com" not in kept
    assert "Cancelled" in kept


def test_the_next_try_counts_down(db: None, person: Person) -> None:
    message = put(
        make_service(), status="RETRYING", attempt_count=2, next_attempt_at=timezone.now() + timedelta(minutes=5)
    )
    page = person("viewer").get(f"/outbox/{message.pk}").content.decode()
    assert page.count('data-time="until"') == 2
    assert "3 attempts left" in page


def test_who_stands_before_and_behind_it(db: None, person: Person) -> None:
    service = make_service()
    rows = [put(service, ordering_key="cart-1") for _ in range(4)]
    page = person("viewer").get(f"/outbox/{rows[2].pk}").content.decode()
    assert f"behind message {rows[0].pk} of ordering_key" in page
    assert f'href="/outbox/{rows[3].pk}"' in page
    first = person("viewer").get(f"/outbox/{rows[0].pk}").content.decode()
    assert "it is the first of its key" in first


def test_curl_has_no_secret_and_no_personal_data_until_it_is_revealed(db: None, person: Person) -> None:
    service = make_service(
        settings={"url": "http://127.0.0.1:9/hook?token=s3cret", "headers": {"X-Team": "pay", "X-Api-Key": "s3cret"}}
    )
    message = put(service, payload='{"customer": "budi@example.com"}', content_type="application/json")
    client = person("operator")
    masked = client.get(f"/outbox/{message.pk}").content.decode()
    assert "curl -X POST" in masked
    assert "X-Team: pay" in masked
    assert "s3cret" not in masked
    assert "budi" not in masked
    clear = client.post(f"/outbox/{message.pk}/reveal").content.decode()
    assert "budi@example.com" in clear
    assert "X-Api-Key: s3cret" not in clear
    assert AuditEntry.objects.get().action == "message.revealed"


def test_a_response_is_masked_until_it_is_revealed(db: None, person: Person) -> None:
    letter = dead(make_service())
    Attempt.objects.create(
        message_id=letter.message_id,
        number=1,
        started_at=timezone.now(),
        duration_ms=5,
        worker="w",
        outcome="ambiguous",
        response='{"mail": "budi@example.com"}',
    )
    page = person("operator").get(f"/outbox/{letter.message_id}").content.decode()
    assert "Unclear: it may have arrived" in page
    assert "budi" not in page
    assert "budi@example.com" in person("operator").post(f"/outbox/{letter.message_id}/reveal").content.decode()
