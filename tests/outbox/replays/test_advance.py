"""What one step of a replay does, and that it can be cut off anywhere."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone

from apps.core.actor import Actor
from apps.core.errors import Conflict
from apps.outbox.gates import Gate
from apps.outbox.models import DeadLetter, DeadLetterState, Message, MessageStatus, Replay, ReplayItem, ReplayState
from apps.outbox.replays import advance as steps
from apps.outbox.replays.advance import advance, advance_all
from apps.outbox.replays.services import cancel, create_replay, pause, resume
from tests.conftest import make_service
from tests.outbox.deadletters.factories import bury, dead
from tests.outbox.factories import put
from tests.outbox.replays.helpers import die, on_their_way, send, states

pytestmark = pytest.mark.django_db


def fresh(replay: Replay) -> Replay:
    return Replay.objects.get(pk=replay.pk)


def step(replay: Replay) -> Replay:
    assert advance(replay.pk)
    return fresh(replay)


def seconds_pass(replay: Replay, seconds: float) -> None:
    Replay.objects.filter(pk=replay.pk).update(advanced_at=fresh(replay).advanced_at - timedelta(seconds=seconds))


def test_a_letter_is_put_back_as_the_same_message(lead: Actor) -> None:
    letter = dead(make_service(), max_attempts=3)
    before = letter.message
    replay = step(create_replay(selection={"ids": [letter.pk]}, actor=lead, reason="fixed"))
    message = Message.objects.get(pk=letter.message_id)
    letter.refresh_from_db()
    assert (message.status, message.attempt_count, message.replay_id) == (MessageStatus.PENDING, 0, replay.pk)
    assert message.wire_id == before.wire_id
    assert message.last_error == "HTTP 500 Internal Server Error"
    assert (letter.state, letter.replay_id, letter.resolved_by) == (DeadLetterState.REPLAYED, replay.pk, str(lead))
    assert (replay.state, replay.released, replay.sent) == (ReplayState.RUNNING, 1, 0)


def test_it_is_done_when_everything_ended(lead: Actor) -> None:
    service = make_service()
    letters = [dead(service) for _ in range(4)]
    replay = step(create_replay(selection={"service": "midtrans"}, actor=lead, stop_above_percent=100))
    send([letters[0].message_id, letters[1].message_id])
    die([letters[2].message_id])
    Message.objects.filter(pk=letters[3].message_id).update(status=MessageStatus.EXPIRED)
    replay = step(replay)
    assert (replay.state, replay.sent, replay.failed, replay.skipped, replay.released) == ("done", 2, 1, 1, 0)
    assert replay.finished_at is not None
    assert ReplayItem.objects.get(message_id=letters[3].message_id).note == "expired before it could be sent"
    assert DeadLetter.objects.filter(message_id=letters[2].message_id, state="open").count() == 1


def test_the_rest_goes_only_if_the_whole_canary_was_sent(lead: Actor) -> None:
    service = make_service()
    for _ in range(10):
        dead(service)
    replay = step(create_replay(selection={"service": "midtrans"}, actor=lead, canary=3))
    assert (replay.state, replay.released) == (ReplayState.CANARY, 3)
    first = on_their_way(replay)
    send(first[:2])
    replay = step(replay)
    assert (replay.state, replay.released, replay.sent) == (ReplayState.CANARY, 1, 2)
    send(first[2:])
    replay = step(replay)
    assert (replay.state, replay.released, replay.sent) == (ReplayState.RUNNING, 7, 3)


def test_a_failed_canary_stops_it_and_says_why(lead: Actor) -> None:
    service = make_service()
    for _ in range(10):
        dead(service)
    replay = step(create_replay(selection={"service": "midtrans"}, actor=lead, canary=3))
    first = on_their_way(replay)
    die(first[:1], "HTTP 503 still down")
    replay = step(replay)
    assert replay.state == ReplayState.STOPPED
    assert "1 of the first 3 failed again" in replay.note
    assert "still down" in replay.note
    send(first[1:])
    advance_all()
    replay = fresh(replay)
    assert (replay.state, replay.sent, replay.failed, states(replay)["waiting"]) == ("stopped", 2, 1, 7)


def test_a_skipped_canary_is_followed_by_another(lead: Actor) -> None:
    service = make_service()
    letters = [dead(service) for _ in range(3)]
    replay = step(create_replay(selection={"service": "midtrans"}, actor=lead, canary=1))
    Message.objects.filter(pk=letters[0].message_id).update(status=MessageStatus.CANCELLED)
    replay = step(replay)
    assert (replay.state, replay.released, replay.skipped) == (ReplayState.CANARY, 1, 1)
    assert on_their_way(replay) == [letters[1].message_id]


def test_too_many_failures_stop_it_and_a_person_may_let_it_go_on(lead: Actor) -> None:
    service = make_service(limits={"max_in_flight": 5})
    for _ in range(30):
        dead(service)
    replay = step(create_replay(selection={"service": "midtrans"}, actor=lead, stop_above_percent=20))
    gone = on_their_way(replay)
    assert len(gone) == 10
    die(gone[:3])
    send(gone[3:])
    replay = step(replay)
    assert (replay.state, states(replay)["waiting"]) == (ReplayState.STOPPED, 20)
    assert "30 % failed again, more than 20 %" in replay.note
    with pytest.raises(Conflict, match="more than its limit of 20 %"):
        resume(replay_id=replay.pk, actor=lead)
    resume(replay_id=replay.pk, actor=lead, stop_above_percent=50)
    replay = step(replay)
    assert (replay.state, replay.released) == (ReplayState.RUNNING, 10)


def test_the_rate_is_kept_on_the_clock_of_the_database(lead: Actor) -> None:
    service = make_service()
    for _ in range(60):
        dead(service)
    replay = step(create_replay(selection={"service": "midtrans"}, actor=lead, per_second=10))
    assert replay.released == 10
    assert 10 <= step(replay).released < 20  # the clock goes on between the steps
    seconds_pass(replay, 1)
    before = step(replay).released
    assert 20 <= before < 30
    seconds_pass(replay, 3600)
    assert step(replay).released == before + 20


def test_a_slow_rate_begins_at_once(lead: Actor) -> None:
    service = make_service()
    for _ in range(3):
        dead(service)
    replay = step(create_replay(selection={"service": "midtrans"}, actor=lead, per_second=0.1))
    assert replay.released == 1
    seconds_pass(replay, 9)
    assert step(replay).released == 1
    seconds_pass(replay, 1.5)
    assert step(replay).released == 2


def test_it_finds_its_speed_by_what_settles(lead: Actor) -> None:
    service = make_service(limits={"max_in_flight": 10})
    for _ in range(200):
        dead(service)
    replay = step(create_replay(selection={"service": "midtrans"}, actor=lead))
    assert replay.released == 20
    assert 20 <= step(replay).released <= 25  # the clock goes on between the steps
    send(on_their_way(replay))
    assert step(replay).released == 40
    send(on_their_way(replay))
    assert step(replay).released == 80


def with_gates(monkeypatch: pytest.MonkeyPatch, **breakers: str) -> None:
    doors = {name: Gate(name, breaker=state, retry_in=30.0) for name, state in breakers.items()}
    monkeypatch.setattr(steps, "gates", lambda names: {name: doors[name] for name in names})


def test_an_open_breaker_holds_a_replay_and_nothing_is_lost(lead: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_service()
    for _ in range(3):
        dead(service)
    replay = create_replay(selection={"service": "midtrans"}, actor=lead)
    for state in ("OPEN", "FORCED_OPEN"):
        with_gates(monkeypatch, midtrans=state)
        assert step(replay).released == 0
    with_gates(monkeypatch, midtrans="CLOSED")
    assert step(replay).released == 3


def test_half_open_gets_one_letter_to_probe_with(lead: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without fresh messages a service would otherwise never be found to work again."""
    service = make_service()
    for _ in range(3):
        dead(service)
    replay = create_replay(selection={"service": "midtrans"}, actor=lead)
    with_gates(monkeypatch, midtrans="HALF_OPEN")
    for _ in range(3):
        assert step(replay).released == 1


def test_one_service_that_waits_does_not_hold_up_the_others(lead: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = make_service("slow"), make_service("fast")
    for _ in range(4):
        dead(slow)
        dead(fast)
    replay = create_replay(selection={"everything": True}, actor=lead, per_second=6)
    with_gates(monkeypatch, slow="OPEN", fast="CLOSED")
    replay = step(replay)
    assert set(Message.objects.filter(pk__in=on_their_way(replay)).values_list("service_id", flat=True)) == {"fast"}
    assert replay.released == 4
    with_gates(monkeypatch, slow="CLOSED", fast="CLOSED")
    assert step(replay).released == 6
    seconds_pass(replay, 1)
    assert step(replay).released == 8


def test_services_share_the_rate(lead: Actor) -> None:
    one, two = make_service("one"), make_service("two")
    for _ in range(10):
        dead(one)
    for _ in range(10):
        dead(two)
    replay = step(create_replay(selection={"everything": True}, actor=lead, per_second=4))
    services = Message.objects.filter(pk__in=on_their_way(replay)).values_list("service_id", flat=True)
    assert sorted(services) == ["one", "one", "two", "two"]


def test_letters_go_in_the_order_of_their_messages(lead: Actor) -> None:
    service = make_service()
    messages = [put(service, ordering_key="k") for _ in range(4)]
    for message in reversed(messages):
        bury(message)
    replay = step(create_replay(selection={"service": "midtrans"}, actor=lead, per_second=2))
    assert on_their_way(replay) == [messages[0].pk, messages[1].pk]


def test_letters_that_changed_meanwhile_are_left_out_with_a_note(lead: Actor) -> None:
    service = make_service()
    letters = [dead(service) for _ in range(4)]
    replay = create_replay(selection={"service": "midtrans"}, actor=lead, per_second=1)
    DeadLetter.objects.filter(pk=letters[0].pk).update(state=DeadLetterState.DISCARDED)
    Message.objects.filter(pk=letters[1].message_id).update(status=MessageStatus.SENT)
    Message.objects.filter(pk=letters[2].message_id).update(expires_at=timezone.now() - timedelta(seconds=1))
    replay = step(replay)
    notes = dict(ReplayItem.objects.filter(state="skipped").values_list("dead_letter_id", "note"))
    assert notes == {
        letters[0].pk: "the dead letter was discarded meanwhile",
        letters[1].pk: "the message is no longer a dead letter, it is SENT",
        letters[2].pk: "the message has expired",
    }
    assert on_their_way(replay) == [letters[3].message_id]
    assert replay.skipped == 3


def test_pruned_messages_count_as_left_out(lead: Actor) -> None:
    service = make_service()
    letters = [dead(service) for _ in range(2)]
    replay = create_replay(selection={"service": "midtrans"}, actor=lead)
    letters[0].message.delete()
    replay = step(replay)
    assert (replay.total, replay.released, replay.skipped) == (2, 1, 1)


def test_pause_holds_back_and_still_counts(lead: Actor) -> None:
    service = make_service()
    for _ in range(5):
        dead(service)
    replay = step(create_replay(selection={"service": "midtrans"}, actor=lead, per_second=2))
    pause(replay_id=replay.pk, actor=lead)
    seconds_pass(replay, 60)
    send(on_their_way(replay))
    advance_all()
    replay = fresh(replay)
    assert (replay.state, replay.sent, replay.released, states(replay)["waiting"]) == ("paused", 2, 0, 3)
    resume(replay_id=replay.pk, actor=lead)
    assert step(replay).released == 2


def test_cancel_gives_the_waiting_letters_back(lead: Actor) -> None:
    service = make_service()
    letters = [dead(service) for _ in range(5)]
    replay = step(create_replay(selection={"service": "midtrans"}, actor=lead, per_second=2))
    replay = cancel(replay_id=replay.pk, actor=lead)
    assert (replay.state, replay.skipped, replay.released) == (ReplayState.CANCELLED, 3, 2)
    assert DeadLetter.objects.filter(state="open").count() == 3
    send(letter.message_id for letter in letters[:2])
    advance_all()
    replay = fresh(replay)
    assert (replay.state, replay.sent, replay.released) == (ReplayState.CANCELLED, 2, 0)
    again = create_replay(selection={"service": "midtrans"}, actor=lead)
    assert again.total == 3


def test_the_next_replay_s_success_is_not_this_one_s(lead: Actor) -> None:
    letter = dead(make_service())
    first = step(create_replay(selection={"service": "midtrans"}, actor=lead))
    die([letter.message_id])
    second = create_replay(selection={"service": "midtrans"}, actor=lead)
    step(second)
    send([letter.message_id])
    first, second = step(first), step(second)
    assert (first.failed, first.sent, second.failed, second.sent) == (1, 0, 0, 1)


def test_a_step_that_is_cut_off_leaves_nothing_behind(lead: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_service()
    for _ in range(4):
        dead(service)
    replay = create_replay(selection={"service": "midtrans"}, actor=lead)
    real, calls = steps.release, []

    def killed_after(*args: object, **kwargs: object) -> int:
        calls.append(real(*args, **kwargs))  # type: ignore[arg-type]
        raise DatabaseError("the connection was closed")

    monkeypatch.setattr(steps, "release", killed_after)
    assert advance_all() == 0
    assert calls == [4]
    assert states(replay) == {"waiting": 4}
    assert Message.objects.filter(status=MessageStatus.DLQ).count() == 4
    monkeypatch.setattr(steps, "release", real)
    assert advance_all() == 1
    assert states(replay) == {"released": 4}


def test_counters_are_counted_not_added_to(lead: Actor) -> None:
    """Killed between anything and anything: whatever the counters say, the next step makes them true."""
    service = make_service()
    for _ in range(3):
        dead(service)
    replay = step(create_replay(selection={"service": "midtrans"}, actor=lead))
    Replay.objects.update(sent=77, failed=5, skipped=9, released=1)
    send(on_their_way(replay)[:1])
    replay = step(replay)
    assert (replay.sent, replay.failed, replay.skipped, replay.released) == (1, 0, 0, 2)


def test_a_step_is_idempotent(lead: Actor) -> None:
    dead(make_service())
    replay = step(create_replay(selection={"service": "midtrans"}, actor=lead))
    for _ in range(3):
        replay = step(replay)
    assert (replay.released, Message.objects.filter(status=MessageStatus.PENDING).count()) == (1, 1)
    send(on_their_way(replay))
    for _ in range(3):
        replay = step(replay)
    assert (replay.state, replay.sent) == (ReplayState.DONE, 1)


def test_a_replay_that_is_gone_is_no_error() -> None:
    assert advance(4711) is False
