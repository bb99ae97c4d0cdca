"""Silences made from here, followed to their end in an Alertmanager that may be away, restarted or killed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from apps.alerts import silence_api, silencing, work
from apps.alerts.escalating import escalate
from apps.alerts.models import AlertSource, Episode, EpisodeEvent, Silence
from apps.audit.models import AuditEntry
from apps.core.actor import SYSTEM, Actor
from apps.core.db import database_now
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from tests.alerts.conftest import Sender, alert, body
from tests.alerts.fake_alertmanager import FakeAlertmanager, fake_alertmanager
from tests.alerts.paging import make_channels, sent

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager() -> Iterator[FakeAlertmanager]:
    with fake_alertmanager() as fake:
        yield fake


@pytest.fixture
def now(db: None) -> datetime:
    return database_now()


@pytest.fixture
def episode(sender: Sender, manager: FakeAlertmanager, now: datetime) -> Episode:
    AlertSource.objects.filter(pk=sender.source.pk).update(api_url=manager.url, api_secret="")
    sender.tell(body(alert(labels={"instance": "db1:9100", "empty": ""})), now)
    return Episode.objects.get()


def silence(episode: Episode, minutes: int = 60, reason: str = "known, disk is on its way") -> Silence:
    until = database_now() + timedelta(minutes=minutes)
    return silencing.silence(episode_id=episode.pk, actor=SYSTEM, until=until, reason=reason)


def story(episode: Episode) -> list[str]:
    return list(EpisodeEvent.objects.filter(episode=episode).order_by("pk").values_list("kind", flat=True))


def state() -> tuple[str, str]:
    found = Silence.objects.get()
    return found.state, found.problem


def test_it_is_made_exactly_for_this_alert(episode: Episode, manager: FakeAlertmanager, settings: Any) -> None:
    settings.PUBLIC_URL = "https://ops.example.com"
    made = silence(episode)
    assert silencing.follow_all() == 1
    (told,) = manager.standing()
    assert told["matchers"] == [
        {"name": name, "value": value, "isRegex": False, "isEqual": True}
        for name, value in (("alertname", "DiskFull"), ("instance", "db1:9100"), ("severity", "critical"))
    ]
    assert told["createdBy"] == "system:opsportal"
    assert f"https://ops.example.com/alerts/{episode.pk}" in told["comment"]
    made.refresh_from_db()
    assert (made.state, made.remote_id, made.problem) == ("active", told["id"], "")
    episode.refresh_from_db()
    assert (episode.suppressed, episode.suppressed_by) == (True, [told["id"]])
    assert story(episode) == ["silenced", "silence_active"]
    assert silencing.follow_all() == 0


def test_acknowledging_and_silencing_is_one_transaction(episode: Episode, manager: FakeAlertmanager) -> None:
    until = database_now() + timedelta(hours=1)
    work.acknowledge(episode_id=episode.pk, actor=SYSTEM, silence_until=until)
    assert Silence.objects.get().until == until
    work.take_back(episode_id=episode.pk, actor=SYSTEM)
    with pytest.raises(Conflict):
        work.acknowledge(episode_id=episode.pk, actor=SYSTEM, silence_until=until)


def test_a_silence_that_cannot_be_takes_the_acknowledgement_with_it(episode: Episode) -> None:
    AlertSource.objects.update(api_url="")
    with pytest.raises(Conflict, match="API address"):
        work.acknowledge(episode_id=episode.pk, actor=SYSTEM, silence_until=database_now() + timedelta(hours=1))
    episode.refresh_from_db()
    assert episode.acknowledged_at is None


def test_killed_after_it_was_made_and_before_that_was_written_down(
    episode: Episode, manager: FakeAlertmanager, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    silence(episode)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(silencing, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            silencing.follow_all()
    assert (len(manager.standing()), state()[0]) == (1, "wanted")
    later = database_now() + timedelta(minutes=2)
    silencing.follow_all(later)
    assert (len(manager.silences), state()) == (1, ("active", ""))


def test_killed_so_and_then_ended(episode: Episode, manager: FakeAlertmanager, monkeypatch: pytest.MonkeyPatch) -> None:
    made = silence(episode)
    with monkeypatch.context() as patch:
        patch.setattr(silencing, "_write", lambda *_: None)
        silencing.follow_all()
    silencing.end(silence_id=made.pk, actor=SYSTEM)
    silencing.follow_all()
    assert manager.standing() == []
    assert state()[0] == "expired"


def test_alertmanager_away_is_tried_again_and_said(episode: Episode, manager: FakeAlertmanager) -> None:
    silence(episode)
    manager.answer = lambda method, path: 503
    silencing.follow_all()
    word, problem = state()
    assert (word, "503" in problem) == ("wanted", True)
    assert silencing.follow_all() == 0  # not at once
    manager.answer = lambda method, path: None
    silencing.follow_all(database_now() + timedelta(minutes=1))
    assert state() == ("active", "")


def test_nobody_listens_there(episode: Episode) -> None:
    AlertSource.objects.update(api_url="http://127.0.0.1:9")
    silence(episode)
    silencing.follow_all()
    assert "cannot be reached" in state()[1]
    silencing.follow_all(database_now() + timedelta(hours=2))
    assert state()[0] == "failed"
    assert story(episode)[-1] == "silence_failed"


@pytest.mark.parametrize("status", [400, 422])
def test_what_alertmanager_refuses_is_not_tried_again(episode: Episode, manager: FakeAlertmanager, status: int) -> None:
    silence(episode)
    manager.answer = lambda method, path: status if method == "POST" else None
    silencing.follow_all()
    assert state()[0] == "failed"
    assert str(status) in state()[1]
    silence(episode)  # and another may be tried


def test_over_before_it_could_be_told(episode: Episode, manager: FakeAlertmanager) -> None:
    made = silence(episode)
    Silence.objects.filter(pk=made.pk).update(until=database_now() - timedelta(seconds=1))
    silencing.follow_all()
    assert state()[0] == "failed"
    assert manager.asked == []


def test_extending_changes_the_same_silence(episode: Episode, manager: FakeAlertmanager) -> None:
    made = silence(episode)
    silencing.follow_all()
    until = database_now() + timedelta(hours=5)
    silencing.extend(silence_id=made.pk, actor=SYSTEM, until=until)
    silencing.follow_all()
    (told,) = manager.standing()
    assert datetime.fromisoformat(told["endsAt"]) == until
    assert len(manager.silences) == 1
    made.refresh_from_db()
    assert made.told_until == until


def test_ending_it_lets_the_escalation_go_on(episode: Episode, manager: FakeAlertmanager, now: datetime) -> None:
    make_channels()
    made = silence(episode)
    silencing.follow_all()
    escalate(now + timedelta(seconds=5))
    assert sent() == []
    silencing.end(silence_id=made.pk, actor=SYSTEM, reason="fixed")
    silencing.follow_all()
    assert manager.standing() == []
    escalate(now + timedelta(seconds=10))
    assert len(sent()) == 2
    actions = (
        AuditEntry.objects.filter(action__startswith="alert.silence").order_by("pk").values_list("action", flat=True)
    )
    assert list(actions) == ["alert.silenced", "alert.silence_ended"]


def test_ended_or_changed_in_alertmanager_itself(episode: Episode, manager: FakeAlertmanager) -> None:
    silence(episode)
    silencing.follow_all()
    (told,) = manager.standing()
    sooner = database_now() + timedelta(minutes=5)
    told["endsAt"] = sooner.isoformat()
    silencing.follow_all(database_now() + timedelta(minutes=2))
    assert Silence.objects.get().until == sooner
    told["status"]["state"] = "expired"
    silencing.follow_all(database_now() + timedelta(minutes=4))
    assert (state()[0], Silence.objects.get().ended_by) == ("expired", "Alertmanager")
    episode.refresh_from_db()
    assert not episode.suppressed


def test_alertmanager_that_forgot_everything(episode: Episode, manager: FakeAlertmanager) -> None:
    silence(episode)
    silencing.follow_all()
    manager.silences.clear()
    silencing.follow_all(database_now() + timedelta(minutes=2))
    assert state()[0] == "expired"


def test_it_ends_with_its_alert(episode: Episode, manager: FakeAlertmanager) -> None:
    silence(episode)
    silencing.follow_all()
    Episode.objects.update(state="resolved", resolved_at=database_now())
    silencing.follow_all()
    assert manager.standing() == []
    assert (state()[0], Silence.objects.get().ended_by) == ("expired", "resolved")


def test_one_that_is_over_there_already_is_no_trouble(episode: Episode, manager: FakeAlertmanager) -> None:
    made = silence(episode)
    silencing.follow_all()
    manager.standing()[0]["status"]["state"] = "expired"
    silencing.end(silence_id=made.pk, actor=SYSTEM)
    silencing.follow_all()
    assert state() == ("expired", "")


def test_what_was_asked_meanwhile_is_not_lost(
    episode: Episode, manager: FakeAlertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody ends it while Alertmanager is being asked to make it."""
    made = silence(episode)
    create = silence_api.Api.create

    def slow(self: silence_api.Api, given: Any) -> str:
        silencing.end(silence_id=made.pk, actor=SYSTEM)
        return create(self, given)

    monkeypatch.setattr(silence_api.Api, "create", slow)
    silencing.follow_all()
    silencing.follow_all(database_now() + timedelta(seconds=1))
    assert manager.standing() == []
    assert state()[0] == "expired"


def test_two_workers_ask_once(episode: Episode, manager: FakeAlertmanager) -> None:
    silence(episode)
    at = database_now()
    claimed = silencing.standing().filter(next_try_at__lte=at)
    assert claimed.exists()
    assert [silencing._follow(pk, at) for pk in [claimed.get().pk] * 2] == [True, False]
    assert len(manager.silences) == 1


def test_no_transaction_is_open_while_alertmanager_is_asked(
    episode: Episode, manager: FakeAlertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence(episode)
    depth = len(connection.savepoint_ids)
    seen: list[int] = []
    ask = silence_api.Api._ask

    def watched(self: silence_api.Api, *given: Any, **more: Any) -> Any:
        seen.append(len(connection.savepoint_ids) - depth)
        return ask(self, *given, **more)

    monkeypatch.setattr(silence_api.Api, "_ask", watched)
    silencing.follow_all()
    assert set(seen) == {0}


def test_the_secret_is_said(episode: Episode, manager: FakeAlertmanager) -> None:
    source = AlertSource.objects.get(pk=episode.source_id)
    source.api_secret = "s3cret"
    source.save()
    silence(episode)
    silencing.follow_all()
    assert manager.headers[0]["Authorization"] == "Bearer s3cret"


def test_who_may_and_what_makes_no_sense(episode: Episode, viewer: Actor) -> None:
    soon = database_now() + timedelta(hours=1)
    with pytest.raises(Forbidden):
        silencing.silence(episode_id=episode.pk, actor=viewer, until=soon, reason="x")
    with pytest.raises(NotFound):
        silencing.silence(episode_id=episode.pk + 99, actor=SYSTEM, until=soon, reason="x")
    for until, reason, field in (
        (database_now() - timedelta(seconds=1), "x", "until"),
        (database_now() + timedelta(days=31), "x", "until"),
        (soon, " \x00", "reason"),
    ):
        with pytest.raises(Invalid) as caught:
            silencing.silence(episode_id=episode.pk, actor=SYSTEM, until=until, reason=reason)
        assert caught.value.detail[0]["field"] == field
    Episode.objects.update(labels={"a": ""})
    with pytest.raises(Conflict, match="no label"):
        silence(episode)
    Episode.objects.update(state="resolved")
    with pytest.raises(Conflict, match="resolved"):
        silence(episode)
