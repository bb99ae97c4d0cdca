"""What is learnt later is offered line by line; people's text is never written by the portal."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from apps.core.actor import INCIDENTS_WORK, SYSTEM, Actor
from apps.core.db import database_now
from apps.core.errors import Conflict, Forbidden
from apps.incidents.models import Incident
from apps.incidents.signals import incident_changed
from apps.postmortems import begun, renewing, services
from apps.postmortems.differences import FIGURE, INCIDENT, LINE, differences, digest
from apps.postmortems.facts import value_of
from apps.postmortems.models import PostMortem, State
from tests.postmortems.outages import about, at, line, make_incident, message

OPERATOR = Actor("person", "ana@example.com", frozenset({INCIDENTS_WORK}))


@pytest.fixture
def postmortem(db: None) -> PostMortem:
    incident = make_incident()
    about(incident, "midtrans")
    line(incident, at(3), "1")
    message("midtrans", sent_at=at(20))
    return services.draft(incident_id=incident.pk, actor=SYSTEM)


def renewed(postmortem: PostMortem) -> PostMortem:
    renewing.renew(postmortem.pk)
    postmortem.refresh_from_db()
    return postmortem


def late_message() -> None:
    message("midtrans", sent_at=at(30))


def test_nothing_new_is_no_news(postmortem: PostMortem) -> None:
    assert renewed(postmortem).newer == {}
    assert postmortem.version == 1


def test_later_facts_wait_and_change_nothing(postmortem: PostMortem) -> None:
    late_message()
    line(postmortem.incident, at(9), "2")
    before = deepcopy(postmortem.facts), postmortem.sections
    found = renewed(postmortem)
    assert (found.facts, found.sections, found.version) == (*before, 1)
    said = [(item.kind, item.key) for item in differences(found.facts, found.newer)]
    assert said == [(FIGURE, "delayed"), (LINE, "hand 2")]
    assert value_of(found.newer, "delayed") == 2


def test_accepting_is_a_version_and_drafts_what_nobody_wrote(postmortem: PostMortem) -> None:
    late_message()
    found = renewed(postmortem)
    accepted = renewing.accept(postmortem_id=found.pk, actor=OPERATOR, seen_at=found.newer_at, seen=1)
    assert accepted.version == accepted.versions.count() == 2
    assert value_of(accepted.facts, "delayed") == 2
    assert accepted.newer == {}
    assert accepted.sections["impact"].startswith("- 2 messages")
    assert value_of(accepted.versions.get(number=1).facts, "delayed") == 1
    assert renewed(postmortem).newer == {}


def test_what_people_wrote_is_never_written_over(postmortem: PostMortem) -> None:
    mine = {key: f"mine: {key}" for key in ("summary", "impact", "trigger", "lucky")}
    services.save(postmortem_id=postmortem.pk, actor=OPERATOR, title="Mine", sections=mine, seen=1)
    late_message()
    renewed(postmortem)
    accepted = renewing.accept(postmortem_id=postmortem.pk, actor=OPERATOR)
    assert {key: accepted.sections[key] for key in mine} == mine
    assert accepted.title == "Mine"


def test_a_section_that_a_person_emptied_stays_empty(postmortem: PostMortem) -> None:
    services.save(postmortem_id=postmortem.pk, actor=OPERATOR, title="x", sections={}, seen=1)
    late_message()
    renewed(postmortem)
    assert renewing.accept(postmortem_id=postmortem.pk, actor=OPERATOR).sections["impact"] == ""


def test_dismissed_ones_come_back_only_when_they_change(postmortem: PostMortem) -> None:
    late_message()
    renewed(postmortem)
    dismissed = renewing.dismiss(postmortem_id=postmortem.pk, actor=OPERATOR, reason="a test of ours")
    assert (dismissed.newer, dismissed.version) == ({}, 2)
    assert renewed(postmortem).newer == {}
    late_message()
    assert value_of(renewed(postmortem).newer, "delayed") == 3


def test_news_that_go_away_again_are_no_news(postmortem: PostMortem) -> None:
    added = line(postmortem.incident, at(9), "2")
    assert renewed(postmortem).newer
    added.delete()
    assert renewed(postmortem).newer == {}


def test_the_same_news_keep_the_time_they_were_found(postmortem: PostMortem) -> None:
    late_message()
    first = renewed(postmortem).newer_at
    assert renewed(postmortem).newer_at == first


def test_what_was_not_looked_at_is_not_accepted(postmortem: PostMortem) -> None:
    late_message()
    seen_at = renewed(postmortem).newer_at
    late_message()
    renewed(postmortem)
    with pytest.raises(Conflict, match="Still later facts"):
        renewing.accept(postmortem_id=postmortem.pk, actor=OPERATOR, seen_at=seen_at)
    with pytest.raises(Conflict, match="version 1"):
        renewing.dismiss(postmortem_id=postmortem.pk, actor=OPERATOR, reason="x", seen=9)


def test_nothing_waits(postmortem: PostMortem) -> None:
    with pytest.raises(Conflict, match="No later facts"):
        renewing.accept(postmortem_id=postmortem.pk, actor=OPERATOR)


def test_of_a_published_one_a_lead_decides(postmortem: PostMortem, lead: Actor) -> None:
    late_message()
    PostMortem.objects.update(state=State.PUBLISHED, published_at=database_now())
    renewed(postmortem)
    with pytest.raises(Forbidden):
        renewing.accept(postmortem_id=postmortem.pk, actor=OPERATOR)
    accepted = renewing.accept(postmortem_id=postmortem.pk, actor=lead)
    assert (accepted.state, accepted.version) == (State.PUBLISHED, 2)


def test_a_corrected_incident_is_a_difference(postmortem: PostMortem) -> None:
    Incident.objects.filter(pk=postmortem.incident_id).update(severity="sev3", started_at=at(-5))
    found = differences(postmortem.facts, renewed(postmortem).newer)
    assert [item.key for item in found if item.kind == INCIDENT] == ["severity", "started_at"]
    assert "to_detect" in [item.key for item in found if item.kind == FIGURE]


# --- when it is looked ------------------------------------------------------------------------------
def looked_at(postmortem: PostMortem, **changes: Any) -> bool:
    PostMortem.objects.filter(pk=postmortem.pk).update(**changes)
    return renewing.renew_all() == 1


@pytest.mark.parametrize(
    ("state", "published_days", "age_days", "checked_minutes", "due"),
    [
        ("draft", None, 0, 1, True),
        ("draft", None, 0, 0, False),
        ("in_review", None, 0, 2, True),
        ("draft", None, 30, 10, False),
        ("draft", None, 30, 61, True),
        ("published", 6, 6, 61, True),
        ("published", 8, 8, 600, False),
    ],
)
def test_who_is_looked_at(
    postmortem: PostMortem, state: str, published_days: int | None, age_days: int, checked_minutes: int, due: bool
) -> None:
    now = database_now()
    published = None if published_days is None else now - timedelta(days=published_days)
    changes = {"state": state, "published_at": published, "created_at": now - timedelta(days=age_days)}
    assert looked_at(postmortem, checked_at=now - timedelta(minutes=checked_minutes), **changes) is due


def test_news_of_the_incident_have_it_looked_at_at_once(
    postmortem: PostMortem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(begun, "nudge_now", lambda: None)
    assert not looked_at(postmortem)
    incident_changed.send(sender=None, incident_id=postmortem.incident_id, what="changed")
    assert looked_at(postmortem)


def test_one_that_fails_stops_no_other(postmortem: PostMortem, monkeypatch: pytest.MonkeyPatch) -> None:
    other = services.draft(incident_id=make_incident().pk, actor=SYSTEM)
    real = renewing.renew

    def renew_or_fail(postmortem_id: int) -> bool:
        if postmortem_id == postmortem.pk:
            raise RuntimeError("no")
        return real(postmortem_id)

    monkeypatch.setattr(renewing, "renew", renew_or_fail)
    PostMortem.objects.update(checked_at=None)
    assert renewing.renew_all() == 2
    other.refresh_from_db()
    assert other.checked_at is not None
    assert renewing.renew_all() == 0


# --- differences are pure ---------------------------------------------------------------------------
FACTS: dict[str, Any] = {
    "incident": {"title": "x", "severity": "sev1"},
    "figures": [{"key": "delayed", "value": 1, "parts": [], "at": "10:00", "unit": "count"}],
    "timeline": [{"source": "hand", "ref": "1", "at": "2026-11-21T12:00:00+00:00", "what": "note", "text": "a"}],
    "culprit": {},
}


def test_when_it_was_asked_is_no_difference() -> None:
    later = deepcopy(FACTS)
    later["figures"][0]["at"] = "11:00"
    later["timeline"][0]["title"] = "said better"
    later["suspects"] = [{"kind": "x"}]
    assert differences(FACTS, later) == []
    assert digest(FACTS) == digest(later)


def test_lines_that_come_go_and_change() -> None:
    later = deepcopy(FACTS)
    later["timeline"] = [{**FACTS["timeline"][0], "text": "b"}, {**FACTS["timeline"][0], "ref": "2"}]
    found = differences(FACTS, later)
    assert [(item.before is None, item.after is None) for item in found] == [(False, False), (True, False)]
    assert [(item.before is None, item.after is None) for item in differences(later, FACTS)][1] == (False, True)
    assert digest(FACTS) != digest(later)


def test_facts_of_an_older_schema_have_no_figures() -> None:
    assert [item.key for item in differences({}, FACTS) if item.kind == FIGURE] == ["delayed"]
    assert value_of({}, "delayed") is None
