"""Edge cases of the state of alerts, by the numbers of docs/design/alert-edge-cases.md."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from apps.alerts import work
from apps.alerts.episodes import State, Verdict
from apps.alerts.escalating import escalate
from apps.alerts.models import AlertDelivery, AlertLog, AlertSource, DeliveryState, Episode, Notification
from apps.alerts.processing import process_all
from apps.alerts.settling import settle_all
from apps.core.actor import SYSTEM
from tests.alerts.conftest import NOON, PAYLOADS, Sender, after, alert, body
from tests.conftest import make_service

pytestmark = pytest.mark.django_db


def resolved(name: str = "DiskFull", *, starts: datetime = NOON, ends: datetime, **fields: Any) -> dict[str, Any]:
    return alert(name, status="resolved", starts=starts, ends=ends, **fields)


def verdicts() -> list[str]:
    return list(AlertLog.objects.order_by("pk").values_list("verdict", flat=True))


def pages() -> int:
    return Notification.objects.filter(kind="page", step=0).values("escalation").distinct().count()


def payload(number: str) -> bytes:
    (found,) = PAYLOADS.glob(f"{number}-*.json")
    return found.read_bytes()


def of(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-21T{text}+00:00")


@pytest.fixture(autouse=True)
def slack(db: None) -> None:
    make_service("slack", channel="slack", settings={"mode": "api", "channel": "#alerts"})


def store(sender: Sender, content: bytes, at: datetime) -> int:
    """Posted and stored, not yet taken in."""
    number = int(sender.post(content).json()["delivery"])
    AlertDelivery.objects.filter(pk=number).update(received_at=at)
    return number


# --- delivery -----------------------------------------------------------------------------------
def test_a_body_whose_answer_was_lost_is_one_episode_and_one_page(sender: Sender) -> None:
    for second in (0, 1, 2):
        sender.tell(payload("01"), after(seconds=second))
        escalate(after(seconds=second))
    assert (AlertDelivery.objects.count(), Episode.objects.count(), pages()) == (3, 1, 1)


def test_the_duplicate_of_a_pair_is_one_episode_and_one_page(sender: Sender) -> None:
    first = payload("25")
    other = first.replace(b":19193", b":19293").replace(b"03:01:39.658630351", b"03:01:40.912")
    assert first != other
    sender.tell(first, of("03:01:50"))
    escalate(of("03:01:50"))
    sender.tell(other, of("03:01:51"))
    escalate(of("03:01:51"))
    assert verdicts() == [Verdict.OPENED, Verdict.REPEATED]
    assert pages() == 1


def test_one_alert_through_three_receivers_is_one_episode(sender: Sender) -> None:
    for receiver in (b"ok", b"second", b"third"):
        sender.tell(payload("01").replace(b'"receiver": "ok"', b'"receiver": "' + receiver + b'"'), NOON)
        escalate(NOON)
    assert sorted(AlertDelivery.objects.values_list("receiver", flat=True)) == ["ok", "second", "third"]
    assert (Episode.objects.count(), pages()) == (1, 1)


def test_a_resolution_that_is_read_before_its_firing_leaves_nothing_open(sender: Sender) -> None:
    """Two web workers: the firing was received first, and committed last."""
    late = store(sender, body(alert()), NOON)
    AlertDelivery.objects.filter(pk=late).update(state=DeliveryState.PROCESSED)
    sender.tell(body(resolved(ends=after(seconds=30))), after(seconds=31))
    AlertDelivery.objects.filter(pk=late).update(state=DeliveryState.STORED)
    process_all()
    settle_all(after(minutes=30))
    escalate(after(minutes=30))
    assert not Episode.objects.exclude(state=State.RESOLVED).exists()
    assert Notification.objects.count() == 0


def test_a_firing_that_is_read_after_the_resolution_that_followed_it_is_late(sender: Sender) -> None:
    sender.tell(body(alert()), NOON)
    late = store(sender, body(alert()), after(minutes=1))
    AlertDelivery.objects.filter(pk=late).update(state=DeliveryState.PROCESSED)
    sender.tell(body(resolved(ends=after(minutes=2))), after(minutes=2))
    AlertDelivery.objects.filter(pk=late).update(state=DeliveryState.STORED)
    process_all()
    assert verdicts()[-1] == Verdict.LATE
    assert Episode.objects.get().state == State.RECOVERING


def test_an_alertmanager_that_posts_everything_again_pages_nobody_again(sender: Sender) -> None:
    names = [f"A{n}" for n in range(8)]
    for minute in (0, 3, 240):
        sender.tell(body(*map(alert, names)), after(minutes=minute))
        escalate(after(minutes=minute))
    assert (Episode.objects.count(), pages()) == (8, 8)


def test_a_broker_that_is_away_delays_and_loses_nothing(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """The post is answered 200 and found by the next sweep; the broker of the tests takes no task at all."""
    from kombu.exceptions import OperationalError

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("celery.app.base.Celery.send_task", away)
    assert sender.post(body(alert())).status_code == 200
    assert AlertDelivery.objects.get().state == DeliveryState.STORED
    process_all()
    assert Episode.objects.get().state == State.FIRING


def test_killed_in_the_middle_of_reading_a_body_nothing_of_it_is_half_there(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(sender, body(*[alert(f"A{n}") for n in range(5)]), NOON)

    def killed(*_: Any, **__: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr("apps.alerts.watching.heard", killed)
        with pytest.raises(SystemExit):
            process_all()
    assert (Episode.objects.count(), AlertLog.objects.count()) == (0, 0)
    assert AlertDelivery.objects.get().state == DeliveryState.STORED
    process_all()
    assert (Episode.objects.count(), AlertLog.objects.count()) == (5, 5)


def test_the_name_of_a_receiver_is_kept_as_it_came_and_decides_nothing(sender: Sender) -> None:
    """Alertmanager quotes it as a regular expression."""
    sender.tell(body(alert(), receiver="ops\\.portal \\(auth\\) \\$1"), NOON)
    sender.tell(body(alert(), receiver="ops.portal (auth) $1"), after(minutes=1))
    assert AlertDelivery.objects.order_by("pk")[0].receiver == "ops\\.portal \\(auth\\) \\$1"
    assert Episode.objects.count() == 1


# --- state --------------------------------------------------------------------------------------
@pytest.mark.parametrize(("second", "same"), [(299, True), (301, False)])
def test_what_fires_again_is_judged_by_the_clock_and_not_by_when_a_sweep_came(
    sender: Sender, second: int, same: bool
) -> None:
    """No sweep ran between: beat was dead, or the posts waited for a worker."""
    sender.tell(body(alert()), NOON)
    store(sender, body(resolved(ends=after(minutes=1))), after(minutes=1))
    again = after(minutes=1, seconds=second)
    store(sender, body(alert(starts=again)), again)
    process_all()
    assert Episode.objects.count() == (1 if same else 2)
    if not same:
        old, new = Episode.objects.order_by("pk")
        assert (old.state, old.resolved_at, new.previous) == (State.RESOLVED, after(minutes=6), old)
        assert ["normal_for", True] in old.proof
    escalate(again)
    assert pages() == 1


def test_a_sweep_decides_nothing_of_a_source_whose_posts_are_not_read_yet(sender: Sender) -> None:
    """The workers were away: heartbeats and firings lie there unread, and must not count as silence or as calm."""
    watchdog = alert("Watchdog")
    sender.tell(body(alert(), watchdog), NOON)
    sender.tell(body(resolved(ends=after(minutes=1))), after(minutes=1))
    store(sender, body(watchdog), after(minutes=18))
    store(sender, body(alert(starts=after(minutes=5))), after(minutes=5))
    assert settle_all(after(minutes=20)) == 0
    assert AlertSource.objects.get(pk="eu1").blind_since is None
    process_all()
    settle_all(after(minutes=20))
    assert Episode.objects.get().state == State.FIRING
    assert AlertSource.objects.get(pk="eu1").blind_since is None


def test_a_clock_that_steps_back_swallows_no_resolution(sender: Sender) -> None:
    sender.tell(body(alert(starts=after(seconds=10))), after(minutes=60))
    sender.tell(body(resolved(starts=after(seconds=10), ends=after(minutes=1))), after(minutes=1))
    episode = Episode.objects.get()
    assert (episode.state, episode.normal_since) == (State.RECOVERING, after(minutes=1))
    sender.tell(body(alert(starts=after(minutes=2))), after(minutes=2))
    assert Episode.objects.get().state == State.FIRING
    sender.tell(body(resolved(starts=after(minutes=2), ends=after(minutes=3))), after(minutes=3))
    assert settle_all(after(minutes=7, seconds=59)) == 0
    assert settle_all(after(minutes=8)) == 1


def test_a_zero_duration_is_logged_and_counted_and_pages_nobody(sender: Sender) -> None:
    sender.tell(body(resolved(starts=NOON, ends=NOON)), after(seconds=5))
    for minute in (1, 6, 12):
        settle_all(after(minutes=minute))
        escalate(after(minutes=minute))
    assert (AlertLog.objects.count(), Episode.objects.get().state, pages()) == (1, State.RESOLVED, 0)


def test_ten_flaps_in_an_hour_are_one_page(sender: Sender) -> None:
    for turn in range(10):
        sender.tell(body(alert(starts=after(minutes=5 * turn))), after(minutes=5 * turn))
        escalate(after(minutes=5 * turn, seconds=1))
        sender.tell(body(resolved(ends=after(minutes=5 * turn + 2))), after(minutes=5 * turn + 2))
        settle_all(after(minutes=5 * turn + 2))
    assert (Episode.objects.get().flapping, Episode.objects.get().fired_again, pages()) == (True, 9, 1)


def test_a_member_that_joins_an_acknowledged_group_does_page(sender: Sender) -> None:
    sender.tell(body(alert("A"), alert("B")), NOON)
    escalate(NOON)
    work.acknowledge(episode_id=Episode.objects.get(name="A").pk, actor=SYSTEM)
    work.acknowledge(episode_id=Episode.objects.get(name="B").pk, actor=SYSTEM)
    sender.tell(body(alert("A"), alert("B"), alert("C")), after(minutes=1))
    escalate(after(minutes=1))
    assert Episode.objects.get(name="C").acknowledged_at is None
    assert Notification.objects.filter(escalation__episode__name="C", outcome="queued").exists()
    assert pages() == 3


def test_changing_annotations_page_nobody_again(sender: Sender) -> None:
    for percent in range(90, 100):
        at = after(minutes=percent - 90)
        sender.tell(body(alert(annotations={"summary": f"{percent} %"})), at)
        escalate(at)
    assert Episode.objects.get().annotations["summary"] == "99 %"
    assert pages() == 1


def test_the_oldest_recoveries_do_not_stand_before_those_that_are_due(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.alerts.settling.BATCH", 3)
    names = [f"A{n}" for n in range(6)]
    sender.tell(body(*map(alert, names)), NOON)
    sender.tell(body(*[resolved(name, ends=after(minutes=9)) for name in names[:3]]), after(minutes=9))
    sender.tell(body(*[resolved(name, ends=after(minutes=1)) for name in names[3:]]), after(minutes=9, seconds=1))
    Episode.objects.filter(name__in=names[3:]).update(normal_since=after(minutes=1))
    assert settle_all(after(minutes=10)) == 3


def test_an_inference_that_the_source_confirms_is_none_any_more(sender: Sender) -> None:
    sender.tell(body(alert()), NOON)
    Episode.objects.update(state=State.RECOVERING, normal_since=after(minutes=5), inferred=True)
    sender.tell(body(resolved(ends=after(minutes=5))), after(minutes=6))
    settle_all(after(minutes=11))
    episode = Episode.objects.get()
    assert (episode.inferred, episode.ends_at) == (False, after(minutes=5))
    assert ["told_by_source", True] in episode.proof


def test_a_heartbeat_that_is_read_late_does_not_hide_that_it_ended(sender: Sender) -> None:
    watchdog = alert("Watchdog")
    sender.tell(body(watchdog), NOON)
    late = store(sender, body(watchdog), after(minutes=1))
    AlertDelivery.objects.filter(pk=late).update(state=DeliveryState.PROCESSED)
    sender.tell(body({**watchdog, "status": "resolved"}), after(minutes=2))
    AlertDelivery.objects.filter(pk=late).update(state=DeliveryState.STORED)
    process_all()
    assert AlertSource.objects.get(pk="eu1").blind_since == after(minutes=2)


def test_the_heartbeat_pages_nobody_whatever_it_does(sender: Sender) -> None:
    for minute, status in enumerate(["firing", "resolved", "firing"]):
        sender.tell(body(alert("Watchdog", status=status)), after(minutes=minute))
        settle_all(after(minutes=minute))
        process_all()
        escalate(after(minutes=minute))
    assert set(Episode.objects.values_list("name", flat=True)) == {"MonitoringBlind"}
    assert pages() == 1


# --- fields that reach the arithmetic of times ------------------------------------------------------
@pytest.mark.parametrize("year", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", "1970-01-01T00:00:00Z"])
def test_times_at_the_edge_of_what_a_calendar_holds(sender: Sender, year: str) -> None:
    for minute in range(3):
        sender.tell(body({**alert(), "startsAt": year}), after(minutes=minute))
    told = {**alert(status="resolved"), "startsAt": year, "endsAt": year}
    sender.tell(body(told), after(minutes=5))
    settle_all(after(minutes=11))
    sender.tell(body({**alert(), "startsAt": year}), after(minutes=30))
    assert set(AlertDelivery.objects.values_list("state", flat=True)) == {DeliveryState.PROCESSED}
    assert list(Episode.objects.order_by("pk").values_list("state", flat=True)) == [State.RESOLVED, State.FIRING]


@pytest.mark.parametrize("value", [b"1e999", b"-1e999", b"NaN", b"Infinity", b"9" * 6000, b"1" + b"0" * 400 + b".5"])
def test_numbers_no_database_keeps_cost_no_alert(sender: Sender, value: bytes) -> None:
    good = body(alert("Good"))[:-2]
    odd = b', {"labels": {"alertname": "Odd", "n": ' + value + b'}, "numFiring": ' + value + b"}]}"
    told = sender.tell(good + odd, NOON)
    assert (told.state, told.alerts) == (DeliveryState.PROCESSED, 2)
    assert sorted(Episode.objects.values_list("name", flat=True)) == ["Good", "Odd"]


@pytest.mark.parametrize("depth", [40, 200, 400])
def test_an_unknown_field_that_is_deep_costs_no_alert(sender: Sender, depth: int) -> None:
    deep = b'{"labels": {"alertname": "Deep"}, "x": ' + b'{"a": [' * depth + b"]}" * depth + b"}"
    content = body(alert("Good"))[:-2] + b", " + deep + b"]}"
    told = sender.tell(content, NOON)
    assert told.state == DeliveryState.PROCESSED
    assert sorted(Episode.objects.values_list("name", flat=True)) == ["Deep", "Good"]


def test_an_alert_without_any_name_has_one(sender: Sender) -> None:
    sender.tell(body({"fingerprint": "f00d"}, {"labels": {"alertname": "  ", "a": "b"}}), NOON)
    assert sorted(Episode.objects.values_list("name", flat=True)) == ["a=b", "f00d"]


@pytest.mark.parametrize("given", ["", "   ", None, False, 0, [], {}])
def test_what_is_no_fingerprint_is_computed(sender: Sender, given: object) -> None:
    sender.tell(body(alert("A", fingerprint=given), alert("B", fingerprint=given)), NOON)
    assert Episode.objects.count() == 2
    sender.tell(body(alert("A", fingerprint=given)), after(minutes=1))
    assert Episode.objects.count() == 2


def test_fingerprints_that_are_alike_for_long_stay_two(sender: Sender) -> None:
    sender.tell(body(alert("A", fingerprint="f" * 80 + "1"), alert("A", fingerprint="f" * 80 + "2")), NOON)
    assert Episode.objects.count() == 2


def test_a_thousand_episodes_can_be_worked_through_while_one_delivery_is_poison(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever kind of error a body causes: it is put aside, and those behind it are read."""
    from apps.alerts import processing

    store(sender, body(alert("Poison")), NOON)
    store(sender, body(alert("Fine")), NOON)
    real = processing.decide
    for error in (OverflowError, AttributeError, IndexError, AssertionError):
        AlertDelivery.objects.update(state=DeliveryState.STORED, tries=0)
        AlertLog.objects.all().delete()

        def broken(current: Any, seen: Any, error: type[Exception] = error) -> Any:
            if AlertDelivery.objects.filter(state=DeliveryState.STORED).count() == 2:
                raise error("boom")
            return real(current, seen)

        monkeypatch.setattr(processing, "decide", broken)
        process_all()
        states = list(AlertDelivery.objects.order_by("pk").values_list("state", flat=True))
        assert states == [DeliveryState.QUARANTINED, DeliveryState.PROCESSED]
