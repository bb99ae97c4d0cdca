"""Lists, details, explanations and figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from redis.exceptions import ConnectionError as CacheAway

from apps.breakers.services import force_open
from apps.core.actor import Actor
from apps.core.errors import Invalid, NotFound
from apps.core.pagination import parse_cursor
from apps.outbox import explain, figures
from apps.outbox.deadletters.selectors import LetterFilters, causes, dead_letter_detail, list_dead_letters
from apps.outbox.deadletters.services import discard
from apps.outbox.explain import why_waiting, why_waiting_many
from apps.outbox.figures import Backlog, backlog, figures_by_service, service_figures
from apps.outbox.gates import Gate, gates
from apps.outbox.models import Attempt, DeadLetter, DeliveryLane, DeliveryMinute, Message
from apps.outbox.replays.planning import plan_replay
from apps.outbox.replays.services import create_replay
from apps.outbox.selectors import MessageFilters, cause, list_messages, message_detail
from apps.outbox.stats import bucket_of, empty_histogram
from apps.services.models import Service
from tests.conftest import make_service
from tests.outbox.deadletters.factories import bury, dead
from tests.outbox.factories import put, take

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def fresh_cache() -> None:
    cache.clear()


def with_gate(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    gate = Gate("midtrans", **fields)
    monkeypatch.setattr(explain, "gates", lambda names: {"midtrans": gate})


def test_pages_follow_the_key_and_arrivals_do_not_shift_them() -> None:
    service = make_service()
    ids = [put(service).pk for _ in range(5)]
    first = list_messages(MessageFilters(), limit=2)
    put(service)
    second = list_messages(MessageFilters(), cursor=first.next_cursor, limit=2)
    last = list_messages(MessageFilters(), cursor=second.next_cursor, limit=2)
    assert [row.pk for page in (first, second, last) for row in page.items] == ids[::-1]
    assert last.next_cursor is None


@pytest.mark.parametrize("text", ["x", "0", "-5", str(2**70), "1.5"])
def test_a_wrong_cursor_is_named(text: str) -> None:
    with pytest.raises(Invalid, match="cursor"):
        parse_cursor(text)


def test_filters_of_messages() -> None:
    service, other = make_service(), make_service("smtp", channel="email")
    one = put(service, tenant_id="acme", recipient="Budi@example.com", ordering_key="k", source="shop")
    two = put(other, status="SENT", idempotency_key="order-7", subject="Your order")
    wanted = {
        MessageFilters(service="midtrans"): one,
        MessageFilters(statuses=("SENT", "DLQ")): two,
        MessageFilters(tenant_id="acme", ordering_key="k", source="shop"): one,
        MessageFilters(recipient="budi@"): one,
        MessageFilters(query=str(two.pk)): two,
        MessageFilters(query=one.wire_id): one,
        MessageFilters(query="order-7"): two,
        MessageFilters(query="your ORDER"): two,
        MessageFilters(query=" example.com "): one,
    }
    for filters, message in wanted.items():
        assert list_messages(filters).items == [message], filters
    assert list_messages(MessageFilters(query="\x00nothing")).items == []
    assert list_messages(MessageFilters(created_before=timezone.now() - HOUR)).items == []
    with pytest.raises(Invalid, match="'LOST' is not one of"):
        list_messages(MessageFilters(statuses=("LOST",)))


def test_the_detail_tells_the_whole_story() -> None:
    letter = dead(make_service())
    for number in (2, 1):
        Attempt.objects.create(
            message_id=letter.message_id,
            number=number,
            started_at=timezone.now(),
            duration_ms=5,
            worker="w",
            outcome="failed",
        )
    detail = message_detail(letter.message_id)
    assert [attempt.number for attempt in detail.attempts] == [1, 2]
    assert detail.deaths == [letter]
    assert "Out of attempts" in detail.why
    with pytest.raises(NotFound, match="no message 4711"):
        message_detail(4711)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Waiting: due now, the next free worker takes it. 5 attempts left."),
        ({"max_attempts": 1}, "1 attempt left."),
        ({"attempt_count": 2}, "3 attempts left."),
        ({"send_after": 24 * HOUR}, "scheduled for "),
        ({"status": "RETRYING", "next_attempt_at": HOUR}, "tried again in"),
        ({"next_attempt_at": -HOUR}, "see whether a delivery worker runs"),
        ({"expires_at": -HOUR}, "it will not be sent"),
        ({"status": "SENT", "sent_at": timedelta()}, "Sent at"),
        ({"status": "CANCELLED", "settled_at": timedelta()}, "Cancelled at"),
        ({"status": "EXPIRED", "settled_at": timedelta()}, "Expired before it could be sent"),
    ],
)
def test_why_a_message_is_where_it_is(fields: dict[str, Any], words: str) -> None:
    now = timezone.now()
    given = {name: now + value if isinstance(value, timedelta) else value for name, value in fields.items()}
    assert words in why_waiting(Message.objects.get(pk=put(make_service(), **given).pk))


def test_on_its_way_names_the_worker() -> None:
    service = make_service()
    message = put(service)
    take(service, worker="delivery@host-9")
    assert "delivery@host-9 has it until" in why_waiting(Message.objects.get(pk=message.pk))


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ({"breaker": "OPEN", "retry_in": 30.0}, "the breaker of midtrans is open until"),
        ({"breaker": "OPEN", "retry_in": 0.0}, "half-open: one message at a time"),
        ({"breaker": "HALF_OPEN"}, "half-open"),
        (
            {"breaker": "FORCED_OPEN", "override_by": "ana", "override_reason": "bank maintenance"},
            "held open by ana (bank maintenance)",
        ),
        ({"paused_at": timezone.now(), "paused_by": "ana", "paused_reason": "migration"}, "paused by ana: migration"),
        ({"slowed_until": timezone.now() + 24 * HOUR, "slowed_by": "HTTP 429"}, "asked to slow down until"),
        ({"max_per_second": 5.0}, "in line for the limit of 5 per second"),
    ],
)
def test_what_keeps_a_service_s_messages(gate: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    message = put(make_service())
    with_gate(monkeypatch, **gate)
    text = why_waiting(Message.objects.get(pk=message.pk))
    assert words in text
    assert text.endswith("5 attempts left.")


def test_all_slots_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_service()
    put(service)
    take(service)
    message = put(service)
    with_gate(monkeypatch, max_in_flight=1)
    assert "all 1 slots of midtrans are taken" in why_waiting(Message.objects.get(pk=message.pk))


def test_behind_whom_a_message_waits() -> None:
    service = make_service()
    head = put(service, ordering_key="k", status="RETRYING", next_attempt_at=timezone.now() + HOUR)
    follower = put(service, ordering_key="k", held=True)
    text = why_waiting(Message.objects.get(pk=follower.pk))
    assert f"behind message {head.pk} of ordering_key 'k', which is waiting too" in text
    assert "behind" not in why_waiting(Message.objects.get(pk=head.pk))


def test_what_became_of_a_dead_letter(lead: Actor) -> None:
    letter = dead(make_service(), ambiguous=True)
    message = Message.objects.get(pk=letter.message_id)
    assert "It may have arrived" in why_waiting(message)
    assert why_waiting(message).endswith("Replay or discard it.")
    replay = create_replay(selection={"ids": [letter.pk]}, actor=lead)
    assert why_waiting(message).endswith(f"It waits its turn in replay {replay.pk}.")
    discard(ids=[letter.pk], actor=lead, reason="a test")
    assert why_waiting(message).endswith("Its dead letter was discarded by lead@example.com.")


def test_a_page_is_explained_without_a_query_per_row(django_assert_max_num_queries: Any) -> None:
    service = make_service()
    for _ in range(20):
        put(service)
    rows = list_messages(MessageFilters()).items
    with django_assert_max_num_queries(12):
        assert len(why_waiting_many(rows)) == 20


def test_the_backlog_counts_what_has_not_ended() -> None:
    service, other = make_service(), make_service("smtp", channel="email")
    put(other)
    take(other)
    oldest = put(service, next_attempt_at=timezone.now() - HOUR)
    put(service, ordering_key="k", held=True)
    put(service, send_after=timezone.now() + HOUR)
    put(service, status="SENT")
    dead(service)
    found = backlog()
    assert found["smtp"] == Backlog(sending=1)
    waiting = found["midtrans"]
    assert (waiting.waiting, waiting.sending, waiting.held, waiting.scheduled) == (3, 0, 1, 1)
    assert waiting.oldest_waiting_at is not None
    assert abs(waiting.oldest_waiting_at - oldest.next_attempt_at) < timedelta(milliseconds=2)


def test_the_backlog_is_kept_for_a_second_and_survives_a_cache_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_service()
    put(service)
    assert backlog()["midtrans"].waiting == 1
    put(service)
    assert backlog()["midtrans"].waiting == 1
    cache.clear()
    assert backlog()["midtrans"].waiting == 2

    def away(*args: object) -> None:
        raise CacheAway("connection refused")

    monkeypatch.setattr(figures.cache, "get", away)
    monkeypatch.setattr(figures.cache, "set", away)
    put(service)
    assert backlog()["midtrans"].waiting == 3


def minute(service: Service, back: int, **counts: int) -> datetime:
    at = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=back)
    latency = empty_histogram()
    latency[bucket_of(40)] = counts.get("sent", 0)
    DeliveryMinute.objects.create(service=service.name, minute=at, latency=latency, **counts)
    return at


def test_figures_of_the_last_minutes() -> None:
    service, other = make_service(), make_service("smtp", channel="email")
    minute(service, 9, sent=1000)
    minute(service, 2, sent=60, failed=20, timed_out=20, slowed=5, died=3)
    minute(other, 1, sent=100)
    found = service_figures("midtrans", minutes=5)
    assert (found.sent, found.failed, found.timed_out, found.slowed, found.died) == (60, 40, 20, 5, 3)
    assert (found.success_rate, found.per_second) == (0.6, 0.2)
    assert found.p95_ms is not None
    assert 25 < found.p95_ms <= 50
    assert [point.sent for point in found.series] == [0, 0, 60, 0, 0]
    assert [point.failed for point in found.series] == [0, 0, 40, 0, 0]
    assert service_figures(minutes=5).sent == 160
    assert {name: row.sent for name, row in figures_by_service(minutes=5).items()} == {"midtrans": 60, "smtp": 100}
    nothing = service_figures("nobody")
    assert (nothing.sent, nothing.success_rate, nothing.p95_ms, len(nothing.series)) == (0, None, None, 5)


def test_letters_are_grouped_by_cause() -> None:
    service = make_service()
    now = timezone.now()
    for number in range(3):
        dead(
            service,
            f"order {number} is closed",
            tenant_id=f"t{number % 2}",
            died_at=now - timedelta(minutes=7 * number),
        )
    other = dead(service, "card declined", ambiguous=True)
    dead(service, "card declined", state="discarded")
    found = causes()
    assert [(group.letters, group.tenants, group.ambiguous) for group in found] == [(3, 2, 0), (1, 1, 1)]
    first = found[0]
    assert (first.service, first.status_code, first.message) == ("midtrans", 500, "order # is closed")
    assert (first.last_seen - first.first_seen) == timedelta(minutes=14)
    assert (sum(first.trend), first.trend[-1], first.trend[-2], first.trend[-3]) == (3, 1, 1, 1)
    assert first.sample.error == "order 2 is closed"
    assert sum(found[1].trend) == 2
    assert cause(other.cause_id).sample == other
    with pytest.raises(NotFound, match="0123456789abcdef"):
        cause("0123456789abcdef")
    DeadLetter.objects.filter(pk=other.pk).update(snoozed_until=now + HOUR)
    assert [group.letters for group in causes(snoozed=False)] == [3]
    assert causes(service="smtp") == []
    assert [group.letters for group in causes(tenant_id="t1")] == [1]


def test_lists_of_letters() -> None:
    service = make_service()
    one, two = dead(service), dead(service, "declined", reason="permanent", status_code=400)
    closed = dead(service, state="discarded")
    assert list_dead_letters(LetterFilters()).items == [two, one]
    assert list_dead_letters(LetterFilters(state="")).items == [closed, two, one]
    assert list_dead_letters(LetterFilters(reason="permanent")).items == [two]
    assert list_dead_letters(LetterFilters(cause=one.cause_id, snoozed=False)).items == [one]
    assert list_dead_letters(LetterFilters(snoozed=True)).items == []
    with pytest.raises(Invalid, match="state"):
        list_dead_letters(LetterFilters(state="lost"))
    assert dead_letter_detail(one.pk).letter == one
    with pytest.raises(NotFound, match="no dead letter 4711"):
        dead_letter_detail(4711)


def test_an_override_is_explained_with_who_and_why(lead: Actor) -> None:
    message = put(make_service())
    force_open(service="midtrans", actor=lead, reason="bank maintenance", expires_in=600)
    assert gates()["midtrans"].shut
    text = why_waiting(Message.objects.get(pk=message.pk))
    assert "the breaker of midtrans is held open by lead@example.com until" in text
    assert "(bank maintenance)" in text
    assert plan_replay({"ids": [dead(make_service("other")).pk]}).waits_for == []
    assert "held open" in plan_replay({"ids": [bury(put(Service.objects.get(pk="midtrans"))).pk]}).waits_for[0]


def test_gates_read_what_the_database_says() -> None:
    service = make_service(paused_at=timezone.now(), paused_by="ana", limits={"max_in_flight": 7})
    DeliveryLane.objects.create(service=service, slowed_until=timezone.now() + HOUR, slowed_by="HTTP 429")
    gate = gates(["midtrans", "nobody"])["midtrans"]
    assert (gate.shut, gate.paused_by, gate.max_in_flight, gate.slowed_by) == (True, "ana", 7, "HTTP 429")
    assert not replace(gate, paused_at=None).shut
    assert replace(gate, paused_at=None, breaker="OPEN", retry_in=5.0).shut
    assert replace(gate, paused_at=None, breaker="FORCED_OPEN").shut
    for state in ("HALF_OPEN", "OPEN"):
        probing = replace(gate, paused_at=None, breaker=state, retry_in=None)
        assert (probing.shut, probing.probing) == (False, True)
    for state in ("CLOSED", "FORCED_CLOSED", "METRICS_ONLY"):
        assert str(replace(gate, paused_at=None, breaker=state)) == "midtrans takes messages"
