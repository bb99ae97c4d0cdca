"""A replay under way: an hour ago a partner answered 502, and now its letters go back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import zip_longest
from random import Random
from typing import Any, Final

from apps.console.demo.messages import BATCH, Death, dead_letter, make_dead, scaled
from apps.outbox.deadletters.causes import fingerprint
from apps.outbox.models import (
    DeadLetter,
    DeadLetterState,
    DeathReason,
    Message,
    MessageStatus,
    Replay,
    ReplayItem,
    ReplayState,
)

DEATH: Final = Death(
    "billing-webhook",
    240,
    3,
    "http_502",
    502,
    "partner.example answered 502 Bad Gateway",
    DeathReason.EXHAUSTED,
    75,
    20,
)


def make_replay(moment: datetime, random: Random, scale: float) -> None:
    """Of the letters, six in ten were sent, a few failed again, some are on their way, the rest waits."""
    death = replace(DEATH, letters=scaled(DEATH.letters, scale))
    make_dead(death, moment, random)
    mark, _ = fingerprint(death.service, death.error_class, death.status_code, death.error)
    sent, failed, released = round(death.letters * 0.59), scaled(3, scale), scaled(8, scale)
    replay = Replay.objects.create(
        state=ReplayState.RUNNING,
        selection={"cause": mark, "services": [death.service]},
        reason="partner confirmed recovery, MT-8841",
        created_by="operator-2@example.com",
        canary=min(10, sent),
        per_second=5,
        total=death.letters,
        sent=sent,
        failed=failed,
        released=released,
        created_at=moment - timedelta(seconds=31),
    )
    states = ["sent"] * sent + ["failed"] * failed + ["released"] * released
    letters = DeadLetter.objects.filter(cause_id=mark).order_by("id")
    items = [_item(replay, row, state, moment) for row, state in zip_longest(letters, states, fillvalue="waiting")]
    ReplayItem.objects.bulk_create(items, batch_size=BATCH)
    _settle_replay(replay, items, death, mark, moment)


def _item(replay: Replay, row: Any, state: str, moment: datetime) -> ReplayItem:
    put_back = moment - timedelta(seconds=20) if state != "waiting" else None
    return ReplayItem(replay=replay, dead_letter=row, message_id=row.message_id, state=state, released_at=put_back)


def _settle_replay(replay: Replay, items: list[ReplayItem], death: Death, mark: str, moment: datetime) -> None:
    gone = [item for item in items if item.state != "waiting"]
    DeadLetter.objects.filter(pk__in=[item.dead_letter_id for item in gone]).update(
        state=DeadLetterState.REPLAYED, replay_id=replay.pk, resolved_at=moment, resolved_by=replay.created_by
    )
    for state, status in (("sent", MessageStatus.SENT), ("released", MessageStatus.PENDING)):
        ids = [item.message_id for item in items if item.state == state]
        sent_at = moment if state == "sent" else None
        Message.objects.filter(pk__in=ids).update(
            status=status, sent_at=sent_at, replay_id=replay.pk, next_attempt_at=moment
        )
    replay.items.filter(state="failed").update(cause=mark)
    again = Message.objects.filter(pk__in=[item.message_id for item in items if item.state == "failed"])
    DeadLetter.objects.bulk_create(
        dead_letter(death, mark, message, moment - timedelta(seconds=4), 5) for message in again
    )
