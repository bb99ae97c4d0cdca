"""Making a replay: what goes in, what is left out, and two people pressing at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.audit.models import AuditEntry
from apps.core.actor import Actor
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from apps.outbox.models import DeadLetter, Message, MessageStatus, Replay, ReplayItem
from apps.outbox.replays.advance import advance_all
from apps.outbox.replays.planning import plan_replay
from apps.outbox.replays.services import cancel, change_pace, create_replay, pause, resume, take_out
from tests.conftest import make_service
from tests.outbox.deadletters.factories import dead
from tests.outbox.replays.helpers import together


@pytest.mark.django_db
def test_a_plan_says_what_would_happen_and_changes_nothing(lead: Actor) -> None:
    midtrans, smtp = make_service(limits={"max_per_second": 2}), make_service("smtp", channel="email")
    good = [dead(midtrans, tenant_id="acme"), dead(midtrans), dead(smtp, ambiguous=True)]
    expired = dead(midtrans, expires_at=timezone.now() - timedelta(hours=1))
    delivered = dead(midtrans)
    Message.objects.filter(pk=delivered.message_id).update(status=MessageStatus.SENT)
    taken = dead(midtrans)
    other = create_replay(selection={"ids": [taken.pk]}, actor=lead)
    ids = [letter.pk for letter in (*good, expired, delivered, taken)]
    plan = plan_replay({"ids": [*ids, 4711]})
    assert (plan.total, plan.eligible, plan.ambiguous) == (7, 3, 1)
    assert plan.ineligible == {
        "the message has expired": 1,
        "the message is no longer a dead letter": 1,
        f"already in replay {other.pk}": 1,
        "not an open dead letter": 1,
    }
    assert (plan.services, plan.tenants) == ({"midtrans": 2, "smtp": 1}, {"": 2, "acme": 1})
    assert set(plan.breakers) == {"midtrans", "smtp"}
    assert plan.estimated_seconds == 1
    assert plan_replay({"ids": ids}, per_second=0.5).estimated_seconds == 6
    assert Replay.objects.count() == 1


@pytest.mark.django_db
def test_a_replay_keeps_what_was_left_out_and_why(lead: Actor) -> None:
    service = make_service()
    letters = [dead(service) for _ in range(3)]
    first = create_replay(selection={"ids": [letters[0].pk]}, actor=lead)
    second = create_replay(selection={"service": "midtrans"}, actor=lead, reason="bank is back", canary=1)
    assert (second.total, second.state, second.canary) == (2, "canary", 1)
    assert second.note == f"Left out: 1 already in replay {first.pk}."
    assert second.selection == {"service": "midtrans", "services": ["midtrans"]}
    entry = AuditEntry.objects.filter(action="replay.started").latest("id")
    assert (entry.target, entry.reason) == (f"replay {second.pk}", "bank is back")
    assert entry.after["left_out"] == {f"already in replay {first.pk}": 1}


@pytest.mark.django_db
def test_nothing_left_is_a_conflict_that_says_why(lead: Actor) -> None:
    letter = dead(make_service())
    first = create_replay(selection={"ids": [letter.pk]}, actor=lead)
    with pytest.raises(Conflict, match=rf"Replay {first.pk} by lead@example\.com began .* ago with this letter\."):
        create_replay(selection={"ids": [letter.pk]}, actor=lead)
    with pytest.raises(Conflict, match="No open dead letter matches service smtp"):
        create_replay(selection={"service": "smtp"}, actor=lead)
    assert Replay.objects.count() == 1


@pytest.mark.django_db
def test_later_deaths_do_not_join(lead: Actor) -> None:
    service = make_service()
    dead(service)
    replay = create_replay(selection={"service": "midtrans"}, actor=lead)
    late = dead(service)
    advance_all()
    assert Message.objects.get(pk=late.message_id).status == MessageStatus.DLQ
    assert Replay.objects.get(pk=replay.pk).total == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"canary": -1}, "canary"),
        ({"canary": 1.5}, "canary"),
        ({"canary": True}, "canary"),
        ({"per_second": 0}, "per_second"),
        ({"per_second": float("nan")}, "per_second"),
        ({"per_second": "10"}, "per_second"),
        ({"stop_above_percent": 101}, "stop_above_percent"),
        ({"selection": {"cause": ""}}, "selection"),
    ],
)
def test_wrong_numbers_name_their_field(options: dict[str, Any], field: str, lead: Actor) -> None:
    dead(make_service())
    with pytest.raises(Invalid) as error:
        create_replay(**{"selection": {"service": "midtrans"}, "actor": lead, **options})
    assert error.value.detail[0]["field"] == field
    assert not Replay.objects.exists()


@pytest.mark.django_db
def test_permission_and_state_are_checked_in_the_action(lead: Actor, viewer: Actor) -> None:
    dead(make_service())
    with pytest.raises(Forbidden, match=r"replays\.run"):
        create_replay(selection={"service": "midtrans"}, actor=viewer)
    replay = create_replay(selection={"service": "midtrans"}, actor=lead)
    for verb in (pause, resume, cancel):
        with pytest.raises(Forbidden, match=r"replays\.run"):
            verb(replay_id=replay.pk, actor=viewer)
        with pytest.raises(NotFound, match="no replay 4711"):
            verb(replay_id=4711, actor=lead)
    with pytest.raises(Conflict, match="is running; this needs one that is paused or stopped"):
        resume(replay_id=replay.pk, actor=lead)
    cancel(replay_id=replay.pk, actor=lead, reason="not now")
    for verb in (pause, resume, cancel):
        with pytest.raises(Conflict, match="is cancelled"):
            verb(replay_id=replay.pk, actor=lead)
    assert [entry.action for entry in AuditEntry.objects.order_by("id")] == ["replay.started", "replay.cancelled"]


@pytest.mark.django_db(transaction=True)
def test_two_people_pressing_at_once_put_each_letter_back_once(lead: Actor) -> None:
    service = make_service()
    letters = [dead(service) for _ in range(60)]
    overlapping = {"ids": [letter.pk for letter in letters[20:]]}
    results = together(
        lambda: create_replay(selection={"service": "midtrans"}, actor=lead),
        lambda: create_replay(selection=overlapping, actor=lead),
        lambda: create_replay(selection={"everything": True}, actor=lead),
    )
    made = [result for result in results if isinstance(result, Replay)]
    assert made
    assert all(isinstance(result, Replay | Conflict) for result in results), results
    assert sum(replay.total for replay in made) == 60
    assert ReplayItem.objects.values("dead_letter").distinct().count() == ReplayItem.objects.count() == 60
    together(advance_all, advance_all, advance_all)
    for _ in range(3):
        advance_all()
    assert Message.objects.filter(status=MessageStatus.PENDING).count() == 60
    assert DeadLetter.objects.filter(state="replayed").count() == 60
    assert ReplayItem.objects.filter(state="released").count() == 60


@pytest.mark.django_db(transaction=True)
def test_many_ticks_at_once_are_one(lead: Actor) -> None:
    service = make_service()
    for _ in range(40):
        dead(service)
    create_replay(selection={"service": "midtrans"}, actor=lead, per_second=10)
    results = together(*[advance_all] * 4)
    assert not [result for result in results if isinstance(result, Exception)]
    assert 10 <= Message.objects.filter(status=MessageStatus.PENDING).count() <= 15
    assert ReplayItem.objects.filter(state="released").count() == Message.objects.filter(status="PENDING").count()


@pytest.mark.django_db(transaction=True)
def test_the_same_selection_pressed_by_two_at_once_is_one_job(lead: Actor) -> None:
    service = make_service()
    for _ in range(50):
        dead(service)

    def press() -> Replay:
        return create_replay(selection={"service": "midtrans"}, actor=lead, known=())

    results = together(press, press, press)
    made = [result for result in results if isinstance(result, Replay)]
    refused = [result for result in results if isinstance(result, Conflict)]
    assert (len(made), len(refused)) == (1, 2), results
    assert Replay.objects.get().total == 50
    for conflict in refused:
        assert conflict.detail["replay"] == made[0].pk
        assert "with these 50 letters" in conflict.message


@pytest.mark.django_db(transaction=True)
def test_the_same_form_sent_twice_at_once_is_one_job(lead: Actor) -> None:
    service = make_service()
    letters = [dead(service) for _ in range(20)]

    def press() -> Replay:
        ids = [letter.pk for letter in letters]
        return create_replay(selection={"ids": ids}, actor=lead, token="form-1")

    results = together(press, press, press, press)
    made = [result for result in results if isinstance(result, Replay)]
    assert len(made) == 1, results
    assert all(result.detail["replay"] == made[0].pk for result in results if isinstance(result, Conflict))
    assert sum(isinstance(result, Conflict) for result in results) == 3
    assert AuditEntry.objects.filter(action="replay.started").count() == 1
    with pytest.raises(Conflict, match="with these 20 letters"):
        press()


@pytest.mark.django_db
def test_letters_that_somebody_else_took_meanwhile_are_a_conflict(lead: Actor) -> None:
    service = make_service()
    letters = [dead(service) for _ in range(5)]
    first = create_replay(selection={"ids": [letter.pk for letter in letters[:2]]}, actor=lead)
    with pytest.raises(Conflict, match=rf"Replay {first.pk} .* with 2 of these 5 letters\. 3 are left"):
        create_replay(selection={"service": "midtrans"}, actor=lead, known=())
    assert Replay.objects.count() == 1
    assert create_replay(selection={"service": "midtrans"}, actor=lead, known=(first.pk,)).total == 3


@pytest.mark.django_db
def test_what_died_after_the_preview_is_not_meant(lead: Actor) -> None:
    service = make_service()
    seen = [dead(service) for _ in range(3)]
    dead(service)
    replay = create_replay(selection={"service": "midtrans", "up_to": seen[-1].pk}, actor=lead)
    assert replay.total == 3


@pytest.mark.django_db
def test_another_pace_holds_from_the_next_step_on(lead: Actor) -> None:
    service = make_service(limits={"max_in_flight": 100})
    for _ in range(60):
        dead(service)
    replay = create_replay(selection={"service": "midtrans"}, actor=lead, per_second=5)
    advance_all()
    assert Message.objects.filter(status="PENDING").count() == 5
    changed = change_pace(replay_id=replay.pk, actor=lead, per_second=None, stop_above_percent=50, reason="it is fine")
    assert (changed.per_second, changed.stop_above_percent) == (None, 50)
    advance_all()
    assert Message.objects.filter(status="PENDING").count() == 60
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.before["per_second"], entry.after["per_second"]) == ("replay.pace_changed", 5, None)
    with pytest.raises(Invalid, match="per_second"):
        change_pace(replay_id=replay.pk, actor=lead, per_second=0)
    cancel(replay_id=replay.pk, actor=lead)
    with pytest.raises(Conflict, match="is cancelled"):
        change_pace(replay_id=replay.pk, actor=lead, per_second=1)


@pytest.mark.django_db
def test_letters_taken_out_are_free_again(lead: Actor) -> None:
    service = make_service()
    letters = [dead(service) for _ in range(3)]
    replay = create_replay(selection={"service": "midtrans"}, actor=lead)
    assert take_out(replay_id=replay.pk, actor=lead, ids=[letters[0].pk]) == 1
    assert Replay.objects.get(pk=replay.pk).skipped == 1
    assert create_replay(selection={"ids": [letters[0].pk]}, actor=lead).total == 1
    with pytest.raises(Conflict, match="still waits"):
        take_out(replay_id=replay.pk, actor=lead, ids=[letters[0].pk, 4711])
