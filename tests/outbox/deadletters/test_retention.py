"""Closed letters are forgotten after a while; open ones never."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core.actor import Actor
from apps.outbox.deadletters import retention
from apps.outbox.deadletters.services import assign, discard
from apps.outbox.models import Attempt, DeadLetter, Message, Triage, TriageMark
from apps.outbox.replays.services import create_replay
from tests.conftest import make_service
from tests.outbox.deadletters.factories import bury, dead

pytestmark = pytest.mark.django_db
KEEP = timedelta(days=30)


def close(letter: DeadLetter, state: str = "discarded", days: int = 31) -> None:
    DeadLetter.objects.filter(pk=letter.pk).update(state=state, resolved_at=timezone.now() - timedelta(days=days))


def test_old_closed_letters_go_with_the_messages_only_they_kept() -> None:
    service = make_service()
    old, recent, unresolved, sent = (dead(service) for _ in range(4))
    close(old)
    close(recent, days=29)
    close(sent, "replayed")
    Message.objects.filter(pk=sent.message_id).update(status="SENT")
    Attempt.objects.create(
        message_id=old.message_id, number=1, started_at=timezone.now(), duration_ms=1, worker="w", outcome="failed"
    )
    DeadLetter.objects.filter(pk=unresolved.pk).update(died_at=timezone.now() - timedelta(days=900))
    assert retention.prune_closed(keep=KEEP) == 2
    assert set(DeadLetter.objects.values_list("pk", flat=True)) == {recent.pk, unresolved.pk}
    assert not Message.objects.filter(pk=old.message_id).exists()
    assert not Attempt.objects.exists()
    assert Message.objects.filter(pk=sent.message_id).exists()


def test_a_message_that_died_again_stays() -> None:
    first = dead(make_service())
    close(first, "replayed")
    again = bury(first.message)
    assert retention.prune_closed(keep=KEEP) == 1
    assert DeadLetter.objects.get() == again
    assert Message.objects.filter(pk=first.message_id).exists()


def test_in_small_batches_and_never_with_zero_days(monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_service()
    for _ in range(7):
        close(dead(service), days=400)
    retention.prune_all(0)
    assert DeadLetter.objects.count() == 7
    assert retention.prune_closed(keep=KEEP, limit=3) == 3
    monkeypatch.setattr(retention, "BATCH", 2)
    retention.prune_all(30)
    assert not DeadLetter.objects.exists()


def test_what_people_did_goes_with_the_last_letter(lead: Actor) -> None:
    one, other = dead(make_service()), dead(make_service("other"))
    assign(ids=[one.pk, other.pk], actor=lead, assignee="payments")
    discard(ids=[one.pk], actor=lead, reason="x")
    long_ago = timezone.now() - timedelta(days=40)
    DeadLetter.objects.filter(pk=one.pk).update(resolved_at=long_ago)
    Triage.objects.update(finished_at=long_ago)
    retention.prune_all(30)
    assert list(TriageMark.objects.values_list("letter_id", flat=True)) == [other.pk]
    assert [triage.verb for triage in Triage.objects.all()] == ["assign"]


def test_a_letter_that_a_replay_still_watches_stays(lead: Actor) -> None:
    letter = dead(make_service())
    create_replay(selection={"ids": [letter.pk]}, actor=lead)
    close(letter)
    assert retention.prune_closed(keep=KEEP) == 0
