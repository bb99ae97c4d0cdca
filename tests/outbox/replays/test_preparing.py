"""A replay of many letters takes them in step by step: only those, each once, whoever presses or dies meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError

from apps.core.actor import Actor
from apps.core.errors import Conflict
from apps.outbox.models import DeadLetter, Replay, ReplayItem
from apps.outbox.replays import preparing, services
from apps.outbox.replays.advance import advance, advance_all
from apps.outbox.replays.planning import plan_replay
from apps.outbox.replays.preparing import prepare, prepare_all
from apps.outbox.replays.selectors import progress
from apps.outbox.replays.services import cancel, change_pace, create_replay, pause, take_out
from tests.conftest import make_service
from tests.outbox.deadletters.factories import dead
from tests.outbox.replays.helpers import on_their_way, together

EVERYTHING = {"everything": True}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "AT_ONCE", 20)
    monkeypatch.setattr(preparing, "BATCH", 10)


def bury_many(count: int, **fields: Any) -> list[DeadLetter]:
    service = make_service(fields.pop("name", "midtrans"), limits={"max_in_flight": 5})
    return [dead(service, **fields) for _ in range(count)]


def letters_in(replay: Replay) -> list[int]:
    return list(ReplayItem.objects.filter(replay=replay).order_by("pk").values_list("dead_letter_id", flat=True))


@pytest.mark.django_db
def test_a_small_selection_is_taken_in_at_once(lead: Actor) -> None:
    bury_many(20)
    made = create_replay(selection=EVERYTHING, actor=lead)
    assert (made.state, made.total, len(letters_in(made))) == ("running", 20, 20)


@pytest.mark.django_db
def test_a_large_one_answers_at_once_and_takes_them_in_by_batches(lead: Actor) -> None:
    letters = bury_many(35)
    made = create_replay(selection=EVERYTHING, actor=lead, canary=3)
    assert (made.state, made.total, made.prepared, letters_in(made)) == ("preparing", 35, 0, [])
    assert not advance(made.pk)
    assert progress(made).actions == ("cancel",)
    assert [prepare(made.pk) for _ in range(5)] == [True, True, True, False, False]
    made.refresh_from_db()
    assert (made.state, made.total, made.prepared, made.left_out) == ("canary", 35, 35, {})
    assert made.selection["services"] == ["midtrans"]
    assert letters_in(made) == [letter.pk for letter in letters]
    advance_all()
    assert len(on_their_way(made)) == 3


@pytest.mark.django_db
def test_letters_that_die_later_are_never_taken_in(lead: Actor) -> None:
    old = bury_many(25)[0].message
    made = create_replay(selection={"service": "midtrans"}, actor=lead)
    prepare(made.pk)
    late = [dead(old.service) for _ in range(15)]
    prepare_all()
    made.refresh_from_db()
    assert (made.state, made.total) == ("running", 25)
    assert not set(letters_in(made)) & {letter.pk for letter in late}


@pytest.mark.django_db
def test_what_was_closed_meanwhile_is_left_out_and_said(lead: Actor) -> None:
    letters = bury_many(25)
    made = create_replay(selection=EVERYTHING, actor=lead)
    DeadLetter.objects.filter(pk__in=[letter.pk for letter in letters[5:9]]).update(state="discarded")
    prepare_all()
    made.refresh_from_db()
    assert (made.total, made.left_out) == (21, {"closed or put back before it was taken in": 4})
    assert made.note == "Left out: 4 closed or put back before it was taken in."


@pytest.mark.django_db
def test_one_whose_letters_are_all_gone_is_done(lead: Actor) -> None:
    bury_many(25)
    made = create_replay(selection=EVERYTHING, actor=lead)
    DeadLetter.objects.update(state="discarded")
    prepare_all()
    made.refresh_from_db()
    assert (made.state, made.total) == ("done", 0)
    assert made.finished_at is not None


@pytest.mark.django_db
def test_a_batch_that_is_cut_off_did_not_happen(lead: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = bury_many(25)
    made = create_replay(selection=EVERYTHING, actor=lead)
    prepare(made.pk)
    whole = preparing.insert_items

    def killed(*given: Any) -> int:
        whole(*given)
        raise DatabaseError("killed")

    monkeypatch.setattr(preparing, "insert_items", killed)
    assert prepare_all() == 0
    made.refresh_from_db()
    assert (made.prepared, len(letters_in(made))) == (10, 10)
    monkeypatch.setattr(preparing, "insert_items", whole)
    prepare_all()
    assert letters_in(made) == [letter.pk for letter in letters]


@pytest.mark.django_db
def test_who_comes_second_is_told_who_was_first_and_the_plan_says_it(lead: Actor) -> None:
    letters = bury_many(30)
    first = create_replay(selection=EVERYTHING, actor=lead)
    prepare(first.pk)
    plan = plan_replay(EVERYTHING)
    assert (plan.eligible, plan.ineligible) == (0, {f"already in replay {first.pk}": 30})
    for selection in (EVERYTHING, {"ids": [letters[-1].pk]}):
        with pytest.raises(Conflict, match=f"Replay {first.pk} by lead@example.com began") as refused:
            create_replay(selection=selection, actor=lead)
        assert refused.value.detail["replay"] == first.pk
    assert Replay.objects.count() == 1


@pytest.mark.django_db
def test_a_large_one_waits_until_another_has_all_its_letters(lead: Actor) -> None:
    bury_many(30)
    bury_many(30, name="smtp")
    first = create_replay(selection={"service": "midtrans"}, actor=lead)
    with pytest.raises(Conflict, match="30 are left"):
        create_replay(selection=EVERYTHING, actor=lead, known=[first.pk])
    prepare_all()
    second = create_replay(selection=EVERYTHING, actor=lead, known=[first.pk])
    assert second.total == 30


@pytest.mark.django_db
def test_what_another_replay_gives_back_meanwhile_stays_left_out(lead: Actor) -> None:
    letters = bury_many(40)
    other = create_replay(selection={"ids": [letter.pk for letter in letters[-8:]]}, actor=lead)
    made = create_replay(selection=EVERYTHING, actor=lead)
    assert (made.total, made.left_out) == (32, {f"already in replay {other.pk}": 8})
    cancel(replay_id=other.pk, actor=lead)
    prepare_all()
    assert letters_in(made) == [letter.pk for letter in letters[:-8]]


@pytest.mark.django_db
def test_it_can_be_cancelled_and_paced_but_not_paused_before_it_begins(lead: Actor) -> None:
    letters = bury_many(30)
    made = create_replay(selection=EVERYTHING, actor=lead)
    prepare(made.pk)
    with pytest.raises(Conflict, match="is preparing"):
        pause(replay_id=made.pk, actor=lead)
    with pytest.raises(Conflict, match="is preparing"):
        take_out(replay_id=made.pk, actor=lead, ids=[letters[0].pk])
    change_pace(replay_id=made.pk, actor=lead, per_second=5)
    ended = cancel(replay_id=made.pk, actor=lead)
    assert (ended.state, ended.total, ended.skipped) == ("cancelled", 10, 10)
    assert prepare_all() == 0
    assert create_replay(selection=EVERYTHING, actor=lead).total == 30


@pytest.mark.django_db(transaction=True)
def test_two_press_a_large_one_at_once(lead: Actor) -> None:
    bury_many(30)
    press: Callable[[], Any] = lambda: create_replay(selection=EVERYTHING, actor=lead)  # noqa: E731
    found = together(press, press)
    made = next(result for result in found if isinstance(result, Replay))
    refused = next(result for result in found if isinstance(result, Conflict))
    assert refused.detail["replay"] == made.pk
    assert "with these 30 letters" in refused.message
    assert Replay.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_several_workers_and_a_small_replay_at_once_take_each_letter_once(lead: Actor) -> None:
    letters = bury_many(60)
    other = bury_many(5, name="smtp")
    made = create_replay(selection={"service": "midtrans"}, actor=lead)
    mine = [letter.pk for letter in (letters[50], *other)]
    work = [lambda: prepare_all(20)] * 3
    *ran, small_one = together(*work, lambda: create_replay(selection={"ids": mine}, actor=lead))
    assert all(isinstance(result, int) for result in ran), ran
    prepare_all(20)
    made.refresh_from_db()
    assert (made.state, made.total) == ("running", 60)
    assert sorted(letters_in(made)) == [letter.pk for letter in letters]
    assert small_one.total == 5
    assert small_one.left_out == {f"already in replay {made.pk}": 1}
