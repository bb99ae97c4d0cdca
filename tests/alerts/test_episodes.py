"""What posts make of episodes: the lies of payloads, and the edge cases of the state."""

from __future__ import annotations

from datetime import datetime

import pytest

from apps.alerts.episodes import State, Verdict
from apps.alerts.models import AlertDelivery, AlertLog, AlertSource, DeliveryState, Episode
from apps.alerts.processing import process_all
from apps.alerts.settling import settle_all
from tests.alerts.conftest import NOON, PAYLOADS, Sender, after, alert, body

pytestmark = pytest.mark.django_db


def verdicts() -> list[str]:
    return list(AlertLog.objects.order_by("pk").values_list("verdict", flat=True))


def resolved(name: str = "DiskFull", *, starts: datetime = NOON, ends: datetime) -> dict[str, object]:
    return alert(name, status="resolved", starts=starts, ends=ends)


def test_an_alert_fires_and_is_resolved_after_five_normal_minutes(sender: Sender) -> None:
    sender.tell(body(alert()), after(seconds=10))
    sender.tell(body(resolved(ends=after(minutes=10))), after(minutes=11))
    episode = Episode.objects.get()
    assert (episode.state, episode.normal_since) == (State.RECOVERING, after(minutes=10))
    assert settle_all(after(minutes=14, seconds=59)) == 0
    assert settle_all(after(minutes=15)) == 1
    episode.refresh_from_db()
    assert episode.state == State.RESOLVED
    assert ["source_alive", False] in episode.proof  # it never sent a heartbeat, and that is said


def test_the_same_body_twice_is_one_episode(sender: Sender) -> None:
    for _ in range(3):
        sender.tell(body(alert()), after(seconds=10))
    assert Episode.objects.count() == 1
    assert verdicts() == [Verdict.OPENED, Verdict.REPEATED, Verdict.REPEATED]


def test_two_peers_stamp_their_own_start(sender: Sender) -> None:
    sender.tell(body(alert(starts=NOON)), after(seconds=10))
    sender.tell(body(alert(starts=after(seconds=1.3)), externalURL="http://peer-2"), after(seconds=11))
    assert verdicts() == [Verdict.OPENED, Verdict.REPEATED]


def test_lie_1_a_truncated_body_resolves_only_what_it_lists(sender: Sender) -> None:
    sender.tell((PAYLOADS / "07-max-alerts-FALSE-RESOLVED.json").read_bytes(), NOON)
    assert {e.state for e in Episode.objects.all()} == {State.RESOLVED}
    sender.tell(body(alert("Cut")), NOON)
    sender.tell(body(resolved("Listed", ends=NOON), status="resolved", truncatedAlerts=3), after(minutes=1))
    assert Episode.objects.get(name="Cut").state == State.FIRING
    assert AlertSource.objects.get(pk="eu1").truncated == 6


def test_lie_2_what_a_dead_prometheus_resolves_stays_open(sender: Sender) -> None:
    watchdog = alert("Watchdog", labels={"severity": "none"})
    sender.tell(body(alert(), watchdog), after(minutes=1))
    sender.tell(body(resolved(ends=after(minutes=2))), after(minutes=5))
    sender.tell(body({**watchdog, "status": "resolved"}), after(minutes=5, seconds=15))
    assert settle_all(after(minutes=60)) == 0
    process_all()
    assert Episode.objects.get(source="eu1").state == State.RECOVERING
    assert Episode.objects.get(source="portal").name == "MonitoringBlind"
    # It lives again, and says nothing more of the alert: five minutes of being watched, then it is believed.
    sender.tell(body(watchdog), after(minutes=70))
    assert settle_all(after(minutes=74, seconds=59)) == 0
    assert settle_all(after(minutes=75)) >= 1
    assert Episode.objects.get(source="eu1").state == State.RESOLVED
    assert ["source_alive", True] in Episode.objects.get(source="eu1").proof


def test_a_heartbeat_that_stops_without_a_word_is_noticed(sender: Sender) -> None:
    sender.tell(body(alert("Watchdog")), NOON)
    settle_all(after(minutes=14))
    assert AlertSource.objects.get(pk="eu1").blind_since is None
    settle_all(after(minutes=16))
    process_all()
    assert AlertSource.objects.get(pk="eu1").blind_since == after(minutes=16)
    blind = Episode.objects.get()
    assert (blind.source_id, blind.severity, blind.state) == ("portal", "critical", State.FIRING)
    settle_all(after(minutes=17))
    process_all()
    assert AlertLog.objects.filter(source="portal").count() == 1


def test_a_heartbeat_is_never_an_episode(sender: Sender) -> None:
    sender.tell((PAYLOADS / "22-watchdog-firing.json").read_bytes(), NOON)
    assert Episode.objects.count() == 0
    assert verdicts() == [Verdict.HEARTBEAT]


def test_lie_3_a_silent_flap_is_seen(sender: Sender) -> None:
    sender.tell((PAYLOADS / "16-silent-flap-before.json").read_bytes(), datetime.fromisoformat("2026-11-21T02:48:50Z"))
    sender.tell((PAYLOADS / "17-silent-flap-after.json").read_bytes(), datetime.fromisoformat("2026-11-21T02:52:00Z"))
    episode = Episode.objects.get()
    assert verdicts() == [Verdict.OPENED, Verdict.FLAPPED]
    assert (episode.state, episode.fired_again) == (State.FIRING, 1)


def test_lie_5_an_absent_member_is_not_resolved(sender: Sender) -> None:
    for name in ("03-firing-group-of-4", "04-group-mixed-2-resolved-2-firing", "05-group-after-resolved-members-left"):
        sender.tell((PAYLOADS / f"{name}.json").read_bytes(), datetime.fromisoformat("2026-11-21T02:52:00Z"))
    states = sorted(Episode.objects.values_list("state", flat=True))
    assert states == [State.FIRING, State.FIRING, State.RECOVERING, State.RECOVERING]


def test_firing_again_within_five_minutes_is_the_same_episode_and_later_a_linked_one(sender: Sender) -> None:
    sender.tell(body(alert()), NOON)
    sender.tell(body(resolved(ends=after(minutes=1))), after(minutes=1))
    settle_all(after(minutes=5, seconds=59))
    sender.tell(body(alert(starts=after(minutes=5))), after(minutes=5, seconds=59))
    assert Episode.objects.get().state == State.FIRING
    sender.tell(body(resolved(starts=after(minutes=5), ends=after(minutes=10))), after(minutes=10))
    settle_all(after(minutes=15))
    sender.tell(body(alert(starts=after(minutes=15))), after(minutes=15, seconds=1))
    first, second = Episode.objects.order_by("pk")
    assert second.previous == first
    assert (first.state, second.state) == (State.RESOLVED, State.FIRING)


def test_ten_flaps_in_an_hour_are_one_flapping_episode(sender: Sender) -> None:
    for turn in range(10):
        sender.tell(body(alert(starts=after(minutes=5 * turn))), after(minutes=5 * turn))
        sender.tell(body(resolved(ends=after(minutes=5 * turn + 2))), after(minutes=5 * turn + 2))
    episode = Episode.objects.get()
    assert (episode.flapping, episode.fired_again) == (True, 9)
    sender.tell(body(alert(starts=after(minutes=46))), after(minutes=50))
    settle_all(after(minutes=109))
    assert Episode.objects.get().flapping
    settle_all(after(minutes=111))
    assert not Episode.objects.get().flapping


def test_a_firing_that_was_overtaken_does_not_reopen_for_good(sender: Sender) -> None:
    """Two Alertmanagers race: firing, resolved, firing, resolved."""
    sender.tell(body(alert()), NOON)
    sender.tell(body(resolved(ends=after(minutes=1))), after(minutes=1))
    sender.tell(body(alert()), after(minutes=1, seconds=5))
    assert Episode.objects.get().state == State.FIRING
    sender.tell(body(resolved(ends=after(minutes=1))), after(minutes=1, seconds=6))
    settle_all(after(minutes=7))
    assert Episode.objects.get().state == State.RESOLVED
    sender.tell(body(alert()), after(minutes=8))
    assert verdicts()[-1] == Verdict.STALE
    sender.tell(body(alert()), after(minutes=13))
    assert verdicts()[-1] == Verdict.OPENED  # still said five minutes later: then it is true


def test_a_resolution_of_what_nobody_heard_of_is_history(sender: Sender) -> None:
    sender.tell(body(resolved(ends=NOON)), NOON)
    episode = Episode.objects.get()
    assert (episode.state, episode.resolved_at) == (State.RESOLVED, NOON)
    sender.tell(body(resolved(ends=NOON)), after(seconds=5))
    assert verdicts() == [Verdict.HISTORY, Verdict.KNOWN_RESOLVED]


@pytest.mark.parametrize("ends", ["0001-01-01T00:00:00Z", "", None, "2026-11-21T23:00:00Z", "2020-01-01T00:00:00Z"])
def test_ends_that_make_no_sense_are_taken_from_the_clock(sender: Sender, ends: str | None) -> None:
    sender.tell(body(alert()), NOON)
    sender.tell(body({**resolved(ends=NOON), "endsAt": ends}), after(minutes=10))
    since = Episode.objects.get().normal_since
    assert since is not None
    assert NOON <= since <= after(minutes=10)


@pytest.mark.parametrize("starts", ["2031-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "x", None])
def test_starts_that_make_no_sense_still_fire(sender: Sender, starts: str | None) -> None:
    sender.tell(body({**alert(), "startsAt": starts}), NOON)
    sender.tell(body({**alert(), "startsAt": starts}), after(minutes=5))
    assert verdicts() == [Verdict.OPENED, Verdict.REPEATED]
    sender.tell(body({**resolved(ends=after(minutes=6)), "startsAt": starts}), after(minutes=6))
    assert Episode.objects.get().state == State.RECOVERING


def test_new_annotations_are_kept_and_page_nobody(sender: Sender) -> None:
    sender.tell(body(alert()), NOON)
    sender.tell(body(alert(annotations={"summary": "now 93 %"})), after(minutes=1))
    assert Episode.objects.get().annotations == {"summary": "now 93 %"}
    assert verdicts() == [Verdict.OPENED, Verdict.REPEATED]


def test_one_bad_alert_among_fifty(sender: Sender) -> None:
    alerts = [alert(f"A{n}") for n in range(50)]
    alerts[20] = {"labels": ["not", "a", "map"]}
    stored = sender.tell(body(*alerts), NOON)
    assert Episode.objects.count() == 49
    assert stored.rejected.get().position == 20
    assert AlertSource.objects.get(pk="eu1").quarantined == 1


def test_a_body_that_breaks_us_does_not_stand_in_the_way(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    sender.post(body(alert("Poison")))
    sender.post(body(alert("Fine")))
    monkeypatch.setattr("apps.alerts.processing._write", _explode_on("Poison"))
    for _ in range(3):
        process_all()
    poison, fine = AlertDelivery.objects.order_by("pk")
    assert (poison.state, fine.state) == (DeliveryState.QUARANTINED, DeliveryState.PROCESSED)
    assert [episode.name for episode in Episode.objects.all()] == ["Fine"]


def _explode_on(name: str) -> object:
    from apps.alerts import processing  # the real one, before it is replaced

    real = processing._write

    def write(lines: list[AlertLog]) -> None:
        if any(line.name == name for line in lines):
            raise ValueError("boom")
        real(lines)

    return write


def test_the_same_condition_in_two_severities_is_two_alerts(sender: Sender) -> None:
    sender.tell(body(alert(labels={"severity": "warning"}), alert()), NOON)
    assert sorted(Episode.objects.values_list("severity", flat=True)) == ["critical", "warning"]


def test_a_thousand_alerts_in_one_body(sender: Sender) -> None:
    sender.tell(body(*[alert(f"A{n}") for n in range(1000)]), NOON)
    sender.tell(body(*[resolved(f"A{n}", ends=after(minutes=1)) for n in range(1000)]), after(minutes=2))
    assert Episode.objects.filter(state=State.RECOVERING).count() == 1000
    assert settle_all(after(minutes=6)) == 500
    assert settle_all(after(minutes=6)) == 500
