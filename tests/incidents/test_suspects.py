"""Suspects: what is found near a start, and that the score keeps its promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from apps.alerts.models import RoutingVersion
from apps.audit.models import AuditEntry
from apps.audit.services import record
from apps.breakers.models import BreakerEvent
from apps.core.actor import SYSTEM, Actor
from apps.core.errors import Conflict, Forbidden, NotFound
from apps.incidents.models import Incident
from apps.incidents.suspects import AFTER, BEFORE, SUSPECTS, Scene, Suspect, rank, ranked, scored, suspect
from apps.incidents.suspects_kinds import Candidate, SuspectKind, Window, register
from apps.incidents.suspects_naming import name_culprit, take_back_culprit
from apps.outbox.models import Replay
from apps.services.models import Service, ServiceVersion
from apps.services.services import pause
from tests.incidents.conftest import service
from tests.incidents.timelines import breaker_event, incident

START = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
MIN = timedelta(minutes=1)
BEFORE_S = int(BEFORE.total_seconds())
AFTER_S = int(AFTER.total_seconds())
SERVICES = some.frozensets(some.sampled_from(["midtrans", "smtp", "whatsapp"]), max_size=3)
SCENES = some.builds(Scene, began=some.just(START), services=SERVICES, critical=SERVICES)
# Other work on the same machine is no failure.
calm = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
KINDS = some.sampled_from(sorted(SUSPECTS))


def _one(kind: str, seconds: float, touched: frozenset[str], ref: str = "1") -> Candidate:
    at = START + timedelta(seconds=seconds)
    return Candidate(kind=kind, ref=ref, at=at, what="x", services=tuple(sorted(touched)))


def _score(kind: str, seconds: float, touched: frozenset[str], scene: Scene) -> int:
    one = Candidate(
        kind=kind, ref="1", at=START + timedelta(seconds=seconds), what="x", services=tuple(sorted(touched))
    )
    return sum(part.points for part in scored(one, scene))


# --- promises of the score ----------------------------------------------------------------------------
@calm
@given(KINDS, SERVICES, SCENES, some.integers(0, BEFORE_S), some.integers(0, BEFORE_S))
def test_closer_before_the_start_is_never_less(
    kind: str, touched: frozenset[str], scene: Scene, one: int, other: int
) -> None:
    near, far = sorted((one, other))
    assert _score(kind, -near, touched, scene) >= _score(kind, -far, touched, scene)


@calm
@given(KINDS, SERVICES, SCENES, some.integers(0, AFTER_S), some.integers(0, AFTER_S))
def test_closer_after_the_start_is_never_less(
    kind: str, touched: frozenset[str], scene: Scene, one: int, other: int
) -> None:
    near, far = sorted((one, other))
    assert _score(kind, near, touched, scene) >= _score(kind, far, touched, scene)


@calm
@given(KINDS, SERVICES, SCENES, some.integers(61, AFTER_S), some.integers(0, BEFORE_S))
def test_after_the_start_is_always_less_than_the_same_before(
    kind: str, touched: frozenset[str], scene: Scene, after: int, before: int
) -> None:
    assert _score(kind, after, touched, scene) < _score(kind, -before, touched, scene)


@calm
@given(KINDS, SCENES, some.integers(-BEFORE_S, AFTER_S))
def test_touching_what_suffers_is_never_less(kind: str, scene: Scene, seconds: int) -> None:
    for name in scene.services:
        assert _score(kind, seconds, frozenset({name}), scene) >= _score(kind, seconds, frozenset({"other"}), scene)


@calm
@given(KINDS, SERVICES, SCENES, some.integers(-BEFORE_S, AFTER_S))
def test_the_score_is_the_sum_of_its_parts_each_within_its_bounds(
    kind: str, touched: frozenset[str], scene: Scene, seconds: int
) -> None:
    one = Candidate(kind=kind, ref="1", at=START + timedelta(seconds=seconds), what="x", services=tuple(touched))
    found = suspect(one, scene, {})
    assert found.score == sum(part.points for part in found.parts) <= sum(part.most for part in found.parts) == 100
    for part in found.parts:
        assert 0 <= part.points <= part.most
        assert part.words.strip()
        assert "{" not in part.words


@calm
@given(some.lists(some.tuples(KINDS, some.integers(-BEFORE_S, AFTER_S), SERVICES), max_size=8), SCENES)
def test_the_order_is_that_of_the_scores_and_of_nothing_else(
    drawn: list[tuple[str, int, frozenset[str]]], scene: Scene
) -> None:
    found = [suspect(_one(k, s, t, str(n)), scene, {}) for n, (k, s, t) in enumerate(drawn)]
    order = ranked(found, scene)
    assert [one.score for one in order] == sorted((one.score for one in found), reverse=True)
    assert ranked(reversed(found), scene) == order


def test_of_a_group_the_best_stands_for_all() -> None:
    scene = Scene(START, frozenset({"midtrans"}), frozenset())
    found = [
        suspect(Candidate(kind="breaker", ref=str(n), at=START - n * MIN, what="x", group="g"), scene, {})
        for n in range(1, 5)
    ]
    (one,) = ranked(found, scene)
    assert (one.candidate.ref, one.alike) == ("1", 3)


def test_one_that_people_named_stands_for_its_group() -> None:
    scene = Scene(START, frozenset(), frozenset())
    named = {"kind": "breaker", "ref": "2"}
    found = [
        suspect(Candidate(kind="breaker", ref=str(n), at=START - n * MIN, what="x", group="g"), scene, named)
        for n in range(1, 4)
    ]
    (one,) = ranked(found, scene)
    assert (one.candidate.ref, one.named) == ("2", True)


# --- what is found ------------------------------------------------------------------------------------
@pytest.fixture
def began(now: datetime) -> datetime:
    service()
    Service.objects.filter(pk="midtrans").update(criticality="critical")
    return now - 20 * MIN


def _audited(action: str, target: str, at: datetime, **after: Any) -> None:
    """As the trail would hold it, had it been written then: rows of the trail cannot be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("apps.core.clock.now", lambda: at)
        record(actor=SYSTEM, action=action, target=target, after=after or None, reason="because")


def _all(began: datetime) -> None:
    at = began - 5 * MIN
    ServiceVersion.objects.create(service_id="midtrans", version=1, definition={}, at=at, by="ana")
    breaker_event("midtrans", "opened", at)
    breaker_event("midtrans", "forced_open", at, detail={"reason": "x", "expires_in": 60}, actor="ana")
    RoutingVersion.objects.create(document={}, created_at=at, created_by="ana")
    Replay.objects.create(state="done", selection={"service": "midtrans"}, created_by="ana", created_at=at, total=3)
    _audited("service.paused", "service:midtrans", at)
    _audited("service.secret_rotated", "service:midtrans", at)
    _audited("template.activated", "template order-paid", at, version=4)


def test_every_kind_is_found_and_says_what_it_is(began: datetime, now: datetime) -> None:
    _all(began)
    found = rank(incident(began, "midtrans"), now)
    assert {one.candidate.kind for one in found} == set(SUSPECTS)
    for one in found:
        assert one.title
        assert "{" not in one.title + one.text
        assert one.label
        assert one.candidate.url.startswith("/")
    assert (found[0].candidate.kind, found[-1].candidate.kind) == ("settings", "routing")


def _found(began: datetime, now: datetime, *services: str) -> list[Suspect]:
    return rank(incident(began, *services), now)


def test_the_window_is_two_hours_before_and_ten_minutes_after(began: datetime, now: datetime) -> None:
    for minutes in (-121, -119, 9, 11):
        breaker_event(f"s{minutes + 200}", "opened", began + minutes * MIN)
    assert [one.candidate.services[0] for one in _found(began, now)] == ["s81", "s209"]


def test_without_services_there_are_suspects_all_the_same(began: datetime, now: datetime) -> None:
    _all(began)
    found = _found(began, now)
    assert len(found) == len(SUSPECTS)
    assert any("names no service yet" in sentence for sentence in found[0].sentences)


def test_what_was_of_another_service_comes_after_the_same_of_this_one(began: datetime, now: datetime) -> None:
    for name in ("midtrans", "smtp"):
        service(name)
        ServiceVersion.objects.create(service_id=name, version=1, definition={}, at=began - 5 * MIN, by="ana")
    found = _found(began, now, "midtrans")
    assert [one.candidate.services for one in found] == [("midtrans",), ("smtp",)]
    assert found[0].score - found[1].score == 30


def test_in_the_minute_of_the_start_is_no_consequence(began: datetime, now: datetime) -> None:
    """Starts are written down to the minute, and clocks differ by seconds."""
    breaker_event("midtrans", "opened", began + timedelta(seconds=50))
    (one,) = _found(began, now, "midtrans")
    assert one.sentences[0] == "When it began"


def test_a_kind_that_cannot_be_read_is_left_out(
    began: datetime, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(window: Window) -> list[Candidate]:
        BreakerEvent.objects.raw("SELECT nothing FROM nowhere")[0]
        return []

    _all(began)
    monkeypatch.setitem(SUSPECTS, "routing", SuspectKind("routing", "x", "map", 6, broken))
    assert {one.candidate.kind for one in _found(began, now)} == set(SUSPECTS) - {"routing"}


def test_a_new_kind_joins_by_one_call(began: datetime, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deployments will."""

    def deployments(window: Window) -> list[Candidate]:
        return [
            Candidate(kind="deployment", ref="7", at=began - MIN, what="deployed", services=("midtrans",)),
            Candidate(kind="deployment", ref="6", at=window.since - MIN, what="deployed", services=("midtrans",)),
        ]

    monkeypatch.setattr("apps.incidents.suspects_kinds.SUSPECTS", SUSPECTS)
    register(SuspectKind("deployment", "Deployment", "rocket-launch", 20, deployments))
    try:
        (one,) = _found(began, now, "midtrans")
        assert (one.candidate.ref, one.title, one.score) == ("7", "Deployed", 100)
    finally:
        del SUSPECTS["deployment"]


@pytest.mark.parametrize(("name", "weight"), [("breaker", 1), ("new", 21), ("new", -1)])
def test_a_kind_that_does_not_fit_is_refused(name: str, weight: int) -> None:
    with pytest.raises(ValueError, match="weight"):
        register(SuspectKind(name, "x", "x", weight, lambda window: []))


# --- naming the cause -----------------------------------------------------------------------------------
def test_naming_and_taking_back_are_audited(began: datetime, now: datetime, ana: Actor) -> None:
    _all(began)
    made = incident(began, "midtrans")
    name_culprit(incident_id=made.pk, kind="settings", ref="midtrans:1", actor=ana, reason="it said so")
    named = Incident.objects.get(pk=made.pk).culprit
    assert (named["kind"], named["ref"], named["title"]) == ("settings", "midtrans:1", "The service midtrans was added")
    assert [one.candidate.kind for one in rank(Incident.objects.get(pk=made.pk), now) if one.named] == ["settings"]
    take_back_culprit(incident_id=made.pk, actor=ana)
    assert Incident.objects.get(pk=made.pk).culprit == {}
    trail = AuditEntry.objects.filter(target=f"incident:{made.pk}").order_by("pk")
    assert [row.action for row in trail] == ["incident.culprit_named", "incident.culprit_taken_back"]
    assert trail[0].reason == "it said so"
    assert trail[1].before["ref"] == "midtrans:1"


def test_what_was_named_is_not_named_again_and_what_is_no_suspect_never(
    began: datetime, ana: Actor, viewer: Actor
) -> None:
    _all(began)
    made = incident(began, "midtrans")
    name_culprit(incident_id=made.pk, kind="settings", ref="midtrans:1", actor=ana)
    with pytest.raises(Conflict):
        name_culprit(incident_id=made.pk, kind="settings", ref="midtrans:1", actor=ana)
    with pytest.raises(NotFound):
        name_culprit(incident_id=made.pk, kind="settings", ref="midtrans:9", actor=ana)
    with pytest.raises(Forbidden):
        name_culprit(incident_id=made.pk, kind="pause", ref="x", actor=viewer)
    with pytest.raises(Forbidden):
        take_back_culprit(incident_id=made.pk, actor=viewer)


def test_a_merged_incident_names_nothing(began: datetime, ana: Actor) -> None:
    one = incident(began)
    merged = incident(began, state="merged", merged_into=one)
    for verb in (
        lambda: name_culprit(incident_id=merged.pk, kind="x", ref="y", actor=ana),
        lambda: take_back_culprit(incident_id=merged.pk, actor=ana),
    ):
        with pytest.raises(Conflict, match="merged"):
            verb()
    with pytest.raises(Conflict, match="Nothing is named"):
        take_back_culprit(incident_id=one.pk, actor=ana)


def test_a_pause_made_by_hand_is_a_suspect(began: datetime, ana: Actor) -> None:
    pause(name="midtrans", actor=SYSTEM, reason="bank asked")
    at = AuditEntry.objects.order_by("-pk")[0].at
    found = rank(incident(at + MIN, "midtrans"), at + 2 * MIN)
    assert [(one.title, one.text) for one in found] == [("midtrans was paused", "“bank asked”")]
