"""Replays together with real claims and settlements, and under a long random history."""

from __future__ import annotations

import random

import pytest
from django.db.models import Count

from apps.core.actor import Actor
from apps.core.errors import Conflict
from apps.outbox.deadletters.services import discard
from apps.outbox.delivery.outcome import Settlement, judge
from apps.outbox.delivery.settle import settle
from apps.outbox.models import DeadLetter, Message, MessageStatus, Replay, ReplayItem
from apps.outbox.replays.advance import advance_all
from apps.outbox.replays.services import cancel, create_replay, pause, resume
from apps.services.models import Service
from tests.conftest import make_service
from tests.outbox.deadletters.factories import bury, dead
from tests.outbox.factories import failure, put, success, take
from tests.outbox.replays.helpers import send

pytestmark = pytest.mark.django_db

RNG = random.Random(7)


def deliver(service: Service, *, works: bool) -> list[int]:
    """One turn of an engine. Returns the ids it tried, in order."""
    rows = take(service)
    reports = [success(row, service) if works else failure(row, service, permanent=True) for row in rows]
    policy = service.retry_policy
    settle([Settlement(r, judge(r, policy, dead_letter_waiting_head=False, rng=RNG)) for r in reports], "worker-1")
    return [row.id for row in rows]


def test_a_replayed_message_is_sent_under_its_old_identity(lead: Actor) -> None:
    service = make_service()
    message = put(service)
    assert deliver(service, works=False) == [message.pk]
    letter = DeadLetter.objects.get()
    replay = create_replay(selection={"ids": [letter.pk]}, actor=lead)
    advance_all()
    assert deliver(service, works=True) == [message.pk]
    advance_all()
    replay.refresh_from_db()
    attempts = list(message.attempts.order_by("id").values_list("number", "outcome", "replay_id"))
    assert attempts == [(1, "failed", None), (2, "sent", replay.pk)]
    assert (replay.state, replay.sent) == ("done", 1)
    assert not DeadLetter.objects.filter(state="open").exists()


def test_a_message_that_dies_again_is_a_new_letter_and_a_failed_item(lead: Actor) -> None:
    service = make_service()
    put(service)
    deliver(service, works=False)
    replay = create_replay(selection={"service": "midtrans"}, actor=lead)
    advance_all()
    deliver(service, works=False)
    advance_all()
    replay.refresh_from_db()
    assert (replay.state, replay.failed) == ("done", 1)
    assert list(DeadLetter.objects.order_by("id").values_list("state", flat=True)) == ["replayed", "open"]


def test_the_order_of_a_key_is_kept_and_live_followers_wait(lead: Actor) -> None:
    service = make_service()
    old = [put(service, ordering_key="k") for _ in range(3)]
    for message in reversed(old):
        bury(message)
    fresh = put(service, ordering_key="k")
    create_replay(selection={"service": "midtrans"}, actor=lead)
    advance_all()
    tried = [deliver(service, works=True) for _ in range(5)]
    assert tried == [[old[0].pk], [old[1].pk], [old[2].pk], [fresh.pk], []]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_people_and_providers_do(seed: int, lead: Actor) -> None:
    """No letter is put back twice, counters always add up, and in the end everything has ended."""
    rng = random.Random(seed)
    services = [make_service(name, limits={"max_in_flight": 3}) for name in ("one", "two")]
    for _ in range(60):
        _something(rng, services, lead)
        _check()
    for replay in Replay.objects.filter(state__in=("paused", "stopped")):
        resume(replay_id=replay.pk, actor=lead, stop_above_percent=100)
    Replay.objects.update(per_second=None)
    for _ in range(40):
        advance_all()
        send(Message.objects.filter(status=MessageStatus.PENDING, replay_id__isnull=False).values_list("pk", flat=True))
        Replay.objects.filter(state="stopped").update(state="running", stop_above_percent=100)
    _check()
    assert set(Replay.objects.values_list("state", flat=True)) <= {"done", "cancelled"}
    assert not ReplayItem.objects.filter(state__in=("waiting", "released")).exists()


def _something(rng: random.Random, services: list[Service], lead: Actor) -> None:
    under_way = list(Message.objects.filter(status=MessageStatus.PENDING).order_by("pk"))
    match rng.randrange(8):
        case 0 | 1:
            for _ in range(rng.randrange(1, 6)):
                dead(rng.choice(services))
        case 2:
            _unless_conflict(
                lambda: create_replay(
                    selection=rng.choice([{"everything": True}, {"service": "one"}]),
                    actor=lead,
                    canary=rng.choice([0, 2]),
                    per_second=rng.choice([None, 3]),
                )
            )
        case 3 | 4:
            advance_all()
        case 5 if under_way:
            send(message.pk for message in under_way if rng.random() < 0.7)
        case 6 if under_way:
            bury(rng.choice(under_way), "HTTP 503 still down")
        case 7:
            _meddle(rng, lead)


def _meddle(rng: random.Random, lead: Actor) -> None:
    replays = list(Replay.objects.order_by("id"))
    verb = rng.choice([pause, resume, cancel, discard])
    if verb is discard:
        letter = DeadLetter.objects.filter(state="open").order_by("id").first()
        _unless_conflict(lambda: discard(ids=[letter.pk if letter else 1], actor=lead, reason="meddling"))
    elif replays:
        chosen = rng.choice(replays).pk
        _unless_conflict(lambda: verb(replay_id=chosen, actor=lead))


def _unless_conflict(action: object) -> None:
    try:
        action()  # type: ignore[operator]
    except Conflict:
        return


def _check() -> None:
    for replay in Replay.objects.all():
        items = replay.items.exclude(state__in=("waiting", "skipped")).count()
        assert replay.sent + replay.failed + replay.released + replay.skipped <= replay.total
        assert items <= replay.total
    released = ReplayItem.objects.filter(released_at__isnull=False).values("dead_letter").annotate(times=Count("id"))
    assert all(row["times"] == 1 for row in released)
    for letter in DeadLetter.objects.filter(state="open").select_related("message"):
        assert letter.message.status == MessageStatus.DLQ
