"""A message as a timeline, and a few words why it is where it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.console.selectors.history import timeline
from apps.console.selectors.messages import Door, brief
from apps.outbox.models import Attempt, DeadLetter, Message, Replay, ReplayItem
from apps.outbox.selectors import MessageDetail

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def message(**fields: Any) -> Message:
    blank = {"status": "PENDING", "held": False, "send_after": None, "next_attempt_at": NOON, "created_at": NOON}
    blank |= {
        "claimed_by": "",
        "last_error": "",
        "source": "",
        "request_id": "",
        "template": "",
        "sent_at": None,
        "settled_at": None,
    }
    return Message(pk=7, service_id="midtrans", **{**blank, **fields})


@pytest.mark.parametrize(
    ("fields", "door", "words"),
    [
        ({}, Door(), "due"),
        ({}, Door(state="OPEN"), "breaker of midtrans is open"),
        ({}, Door(state="FORCED_OPEN"), "breaker of midtrans is open"),
        ({}, Door(paused=True, state="OPEN"), "midtrans is paused"),
        ({}, Door(state="HALF_OPEN"), "midtrans is tested with one message at a time"),
        ({"held": True}, Door(), "behind another message of its key"),
        ({"next_attempt_at": NOON + timedelta(seconds=9)}, Door(), "tried again in"),
        ({"send_after": NOON + timedelta(hours=1)}, Door(), "scheduled, in"),
        ({"status": "SENDING", "claimed_by": "delivery@a-1"}, Door(), "with delivery@a-1"),
        ({"status": "SENT", "sent_at": NOON + timedelta(seconds=3)}, Door(), "after 3 s"),
        ({"status": "DLQ", "last_error": "no a@b.example here"}, Door(), "no a•••@b.example here"),
        ({"status": "EXPIRED"}, Door(), "not sent before it expired"),
        ({"status": "CANCELLED"}, Door(), "by a person"),
    ],
)
def test_a_few_words(fields: dict[str, Any], door: Door, words: str) -> None:
    assert brief(message(**fields), door, NOON)[0] == words


def test_what_is_not_due_counts_down() -> None:
    at = NOON + timedelta(seconds=9)
    assert brief(message(next_attempt_at=at), Door(), NOON)[1] == at


def test_everything_that_happened_in_order() -> None:
    def after(seconds: int) -> datetime:
        return NOON + timedelta(seconds=seconds)

    tries = [
        Attempt(
            number=n, started_at=after(s), duration_ms=40, worker="w", outcome=o, status_code=503, error=e, response=""
        )
        for n, s, o, e in ((1, 1, "failed", "busy"), (2, 3, "ambiguous", "gone quiet"))
    ]
    death = DeadLetter(pk=5, died_at=after(3), reason="exhausted", error="gone quiet", state="replayed")
    replay = Replay(pk=9, created_by="lead@example.com", reason="fixed")
    item = ReplayItem(replay=replay, released_at=after(60))
    copy = Message(pk=8, created_at=after(90))
    found = message(source="shop", request_id="r-1", status="CANCELLED", settled_at=after(100))
    entries = timeline(MessageDetail(found, "", tries, [death], [item], None, [copy]))
    assert [entry.title for entry in entries] == [
        "Accepted",
        "Attempt 1: Failed",
        "Attempt 2: Unclear: it may have arrived",
        "Became a dead letter: out of attempts",
        "Put back by replay 9",
        "Corrected copy sent as message 8",
        "Cancelled",
    ]
    assert entries[0].text == "from shop · request r-1"
    assert entries[2].text == "answered 503 · 40 ms · w · 2 s later"
    assert entries[2].said == "gone quiet"
    assert entries[3].said == ""
    assert entries[4].href == "/replays/9"
    assert "“fixed”" in entries[4].text
