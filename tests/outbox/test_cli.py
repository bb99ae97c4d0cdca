"""``manage.py outbox`` and ``manage.py dlq``: output for people, JSON for programs, errors in one line."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.audit.models import AuditEntry
from apps.outbox.management.commands import dlq
from apps.outbox.models import DeadLetter, Message, MessageStatus, Replay
from apps.outbox.replays.advance import advance_all
from tests.conftest import make_service
from tests.outbox.deadletters.factories import dead

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_cache() -> None:
    cache.clear()


def run(*words: Any) -> str:
    out = io.StringIO()
    call_command(*map(str, words), stdout=out)
    return out.getvalue()


def run_json(*words: Any) -> Any:
    return json.loads(run(*words, "--json"))


def test_send_show_and_stats() -> None:
    make_service()
    sent = run_json("outbox", "send", "midtrans", "--body-json", '{"a": 1}', "--header", "X-A: b", "--priority", 7)
    message = Message.objects.get()
    assert sent == {"id": message.pk, "status": "PENDING", "service": "midtrans", "duplicate": False}
    assert (message.json, message.headers, message.priority, message.source) == ('{"a":1}', {"X-A": "b"}, 7, "cli")
    text = run("outbox", "show", message.pk, "--body")
    assert f"Message {message.pk} (msg_" in text
    assert "due now" in text
    assert '{"a":1}' in text
    shown = run_json("outbox", "show", message.pk)
    assert (shown["status"], shown["attempts"], "json" in shown) == ("PENDING", [], False)
    stats = run_json("outbox", "stats")
    assert (stats["midtrans"]["waiting"], stats["midtrans"]["success_rate"]) == (1, None)
    assert "midtrans" in run("outbox", "stats")


def test_a_key_is_accepted_once() -> None:
    make_service()
    first = run_json("outbox", "send", "midtrans", "--payload", "x", "--idempotency-key", "k")
    assert run_json("outbox", "send", "midtrans", "--payload", "x", "--idempotency-key", "k") == first | {
        "duplicate": True
    }


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("outbox", "send", "nobody", "--payload", "x"), "no service named 'nobody'"),
        (("outbox", "send", "midtrans"), "none was given"),
        (("outbox", "send", "midtrans", "--body-json", "{"), "--body-json: is not JSON"),
        (("outbox", "send", "midtrans", "--payload", "x", "--header", "a"), "is not NAME:VALUE"),
        (("outbox", "send", "midtrans", "--payload", "x", "--send-after", "soon"), "--send-after: must be a time"),
        (("outbox", "show", 4711), "no message 4711"),
        (("outbox", "stats", "--minutes", 0), "--minutes: must be from 1"),
        (("outbox",), "verb"),
        (("dlq", "replay"), "Say which dead letters"),
        (("dlq", "replay", "--cause", "0123456789abcdef"), "No open dead letter matches"),
        (("dlq", "replay", 1, "--service", "midtrans"), "cannot be combined"),
        (("dlq", "replay", "--all", "--died-after", "soon"), "died_after"),
        (("dlq", "status", 4711), "no replay 4711"),
        (("dlq", "list", "--limit", 0), "limit: must be from 1 to 500"),
    ],
)
def test_errors_are_one_clear_line(words: tuple[Any, ...], error: str) -> None:
    make_service()
    with pytest.raises(CommandError, match=error):
        run(*words)


def test_list_and_causes() -> None:
    service = make_service()
    letters = [dead(service, f"order {number} closed", tenant_id="acme") for number in range(3)]
    listed = run_json("dlq", "list", "--service", "midtrans", "--limit", 2)
    assert [letter["id"] for letter in listed["dead_letters"]] == [letters[2].pk, letters[1].pk]
    assert listed["next_cursor"] == letters[1].pk
    assert f"--cursor {letters[1].pk}" in run("dlq", "list", "--limit", 2)
    assert run_json("dlq", "list", "--cursor", letters[1].pk)["dead_letters"][0]["id"] == letters[0].pk
    (cause,) = run_json("dlq", "causes")
    assert (cause["letters"], cause["tenants"], cause["message"]) == (3, 1, "order # closed")
    assert cause["fingerprint"] in run("dlq", "causes")


def test_replay_dry_run_then_for_real() -> None:
    service = make_service()
    for _ in range(3):
        dead(service)
    plan = run_json("dlq", "replay", "--service", "midtrans", "--dry-run", "--per-second", 1)
    assert (plan["eligible"], plan["ineligible"], plan["estimated_seconds"]) == (3, {}, 3.0)
    assert "3 of 3 dead letters would be replayed" in run("dlq", "replay", "--all", "--dry-run")
    assert not Replay.objects.exists()
    made = run_json("dlq", "replay", "--service", "midtrans", "--canary", 1, "--reason", "fixed")
    assert (made["state"], made["total"], made["waiting"]) == ("canary", 3, 3)
    assert AuditEntry.objects.get().actor_kind == "cli"
    for verb, state in (("pause", "paused"), ("resume", "canary"), ("cancel", "cancelled")):
        assert run_json("dlq", verb, made["id"])["state"] == state
    assert f"Replay {made['id']} is cancelled" in run("dlq", "status", made["id"])
    assert run_json("dlq", "replays")["replays"][0]["id"] == made["id"]
    assert "cancelled" in run("dlq", "replays")


def test_waiting_for_a_replay_says_how_it_went(monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_service()
    for _ in range(2):
        dead(service)
    becomes = iter((MessageStatus.SENT, MessageStatus.EXPIRED))

    def work(_: float) -> None:
        advance_all()
        Message.objects.filter(status=MessageStatus.PENDING).update(status=next(becomes))
        advance_all()

    monkeypatch.setattr(dlq.time, "sleep", work)
    first, second = DeadLetter.objects.order_by("id")
    assert "sent 1, failed again 0" in run("dlq", "replay", first.pk, "--wait")
    with pytest.raises(CommandError, match="is done: 0 of 1 were sent"):
        run("dlq", "replay", second.pk, "--wait")


def test_discard_says_how_many_before_it_does_it() -> None:
    service = make_service()
    letters = [dead(service) for _ in range(3)]
    assert "Discarded 1 dead letter." in run("dlq", "discard", letters[0].pk, "--reason", "test order")
    with pytest.raises(CommandError, match=r"would discard 2 dead letters \(service midtrans\)"):
        run("dlq", "discard", "--service", "midtrans", "--reason", "obsolete")
    assert DeadLetter.objects.filter(state="open").count() == 2
    answer = run_json("dlq", "discard", "--service", "midtrans", "--reason", "obsolete", "--yes")
    assert answer == {"discarded": 2, "selection": {"service": "midtrans"}}


def test_triage_from_the_shell() -> None:
    service = make_service()
    one, other = dead(service), dead(service)
    with pytest.raises(CommandError, match="This is about 2 dead letters"):
        run("dlq", "assign", "--service", "midtrans", "--to", "payments")
    made = run_json("dlq", "assign", "--service", "midtrans", "--to", "payments", "--yes")
    assert (made["verb"], made["state"], made["done"]) == ("assign", "done", 2)
    assert "Noted: 1 dead letter." in run("dlq", "note", one.pk, "--text", "asked the bank")
    assert "Snoozed: 1 dead letter." in run("dlq", "snooze", other.pk, "--hours", "2")
    assert DeadLetter.objects.get(pk=other.pk).snoozed_until is not None
    run("dlq", "snooze", other.pk, "--wake")
    assert DeadLetter.objects.get(pk=other.pk).snoozed_until is None
    assert run_json("dlq", "undo", made["id"])["done"] == 2
    assert set(DeadLetter.objects.values_list("assignee", flat=True)) == {""}
