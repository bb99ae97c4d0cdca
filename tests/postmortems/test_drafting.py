"""A post-mortem of every incident that is over, exactly one, begun from facts in plain sentences."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from apps.audit.models import AuditEntry
from apps.core.actor import SYSTEM, Actor
from apps.core.errors import Conflict, Forbidden, NotFound
from apps.incidents.services import resolve
from apps.incidents.signals import incident_changed
from apps.postmortems import begun
from apps.postmortems.drafting import drafted as texts_of
from apps.postmortems.drafting import quoted
from apps.postmortems.facts import gather, timeline_of
from apps.postmortems.markdown import render
from apps.postmortems.models import PostMortem, PostMortemVersion
from apps.postmortems.services import draft
from apps.postmortems.tasks import sweep
from tests.postmortems.outages import about, at, drafted, episode, line, make_incident, message, outage

HOSTILE = (
    "<script>alert(1)</script>",
    "[press](javascript:alert(1))",
    "**bold** _it_ `code` | cell | # head",
    "{{ settings.SECRET_KEY }} {% load x %} %s {x.__class__}",
    "abc\u202eexe.gpj",
    "first\r\nBcc: all@example.com\r\n\r\nsecond",
    "![x](https://example.org/track.png)",
    "&lt;img src=x onerror=alert(1)&gt;",
)


# --- when -----------------------------------------------------------------------------------------
def test_the_sweep_drafts_what_is_over(db: None) -> None:
    over, running = make_incident(), make_incident(state="monitoring", resolved_at=None)
    merged = make_incident(state="merged", merged_into=over)
    sweep()
    sweep()
    assert list(PostMortem.objects.values_list("incident_id", flat=True)) == [over.pk]
    assert not PostMortem.objects.filter(incident__in=[running, merged]).exists()


@pytest.mark.django_db(transaction=True)
def test_resolving_asks_for_a_draft_at_once(monkeypatch: pytest.MonkeyPatch, lead: Actor) -> None:
    asked: list[str] = []
    monkeypatch.setattr(begun, "nudge_now", lambda: asked.append("asked"))
    incident = make_incident(state="investigating", resolved_at=None)
    resolve(incident_id=incident.pk, actor=lead, text="mended")
    assert asked
    sweep()
    assert PostMortem.objects.get().incident_id == incident.pk


def test_a_signal_that_is_lost_costs_a_sweep_only(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    incident = make_incident()

    def broken() -> None:
        raise OSError("the broker is away")

    monkeypatch.setattr(begun, "nudge_now", broken)
    (_receiver, error), *_rest = incident_changed.send_robust(sender=None, incident_id=incident.pk, what="resolved")
    assert isinstance(error, OSError)
    assert begun.draft_missing() == 1


def test_one_that_cannot_be_drafted_stops_no_other(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make_incident(title="first"), make_incident(title="second")
    real = begun.draft

    def draft_or_fail(*, incident_id: int, actor: Actor) -> PostMortem:
        if incident_id == first.pk:
            raise RuntimeError("no")
        return real(incident_id=incident_id, actor=actor)

    monkeypatch.setattr(begun, "draft", draft_or_fail)
    assert begun.draft_missing() == 1
    assert PostMortem.objects.get().incident_id == second.pk
    monkeypatch.setattr(begun, "draft", real)
    assert begun.draft_missing() == 1


@pytest.mark.django_db(transaction=True)
def test_exactly_one_under_concurrency() -> None:
    incident = make_incident()

    def begin(_: int) -> int:
        try:
            return draft(incident_id=incident.pk, actor=SYSTEM).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(begin, range(8)))
    assert len(set(found)) == 1
    assert PostMortem.objects.count() == PostMortemVersion.objects.count() == 1
    assert AuditEntry.objects.filter(action="postmortem.drafted").count() == 1


def test_by_hand_before_it_is_over(db: None, lead: Actor) -> None:
    incident = make_incident(state="investigating", resolved_at=None, acknowledged_at=None)
    made = draft(incident_id=incident.pk, actor=lead)
    assert draft(incident_id=incident.pk, actor=SYSTEM) == made
    assert "was resolved" not in made.sections["summary"]
    assert made.versions.get().actor == "lead@example.com"


def test_who_may_not_and_what_cannot_be(db: None, viewer: Actor, lead: Actor) -> None:
    incident = make_incident()
    with pytest.raises(Forbidden):
        draft(incident_id=incident.pk, actor=viewer)
    with pytest.raises(NotFound):
        draft(incident_id=10**9, actor=lead)
    with pytest.raises(Conflict, match=f"INC-{incident.pk}"):
        draft(incident_id=make_incident(state="merged", merged_into=incident).pk, actor=lead)


# --- what -----------------------------------------------------------------------------------------
def test_sentences_say_what_the_figures_say(db: None) -> None:
    made = draft(incident_id=outage().pk, actor=SYSTEM)
    day = f"{at(0):%Y-%m-%d}"
    assert made.sections["summary"].startswith(
        f"“Payments fail” (SEV1) began at {day} 12:00:00 UTC and was resolved at {day} 12:40:00 UTC, 40 min later. "
        "It concerned midtrans and smtp. 2 alerts fired:"
    )
    lines = made.sections["impact"].splitlines()
    assert lines == [
        "- 6 messages were sent more than 60 s late, or still waited (midtrans 4 and smtp 2).",
        "- 4 messages were dead-lettered (midtrans 3 and smtp 1).",
        "- 2 messages were lost, because they expired before they could be sent (midtrans 1 and smtp 1).",
        "- 26 attempts to deliver failed (midtrans 13 and smtp 13).",
        "- The breaker of midtrans was open for 20 min.",
        "- The breaker of smtp was open for 9 min.",
    ]
    assert made.sections["root_causes"] == ""
    assert made.touched == []


def test_nothing_is_made_up_when_nothing_is_known(db: None) -> None:
    made = drafted()
    assert made.sections["impact"].startswith("No message was delayed")
    assert made.sections["trigger"] == "Nothing is known to have changed shortly before it began."


def test_one_is_not_many(db: None) -> None:
    message("midtrans", sent_at=at(20))
    assert "- 1 message was sent more than 60 s late" in drafted().sections["impact"]


def test_the_cause_people_name_is_the_trigger(db: None) -> None:
    culprit = {"kind": "changes", "ref": "1", "title": "midtrans was changed", "url": "/services/midtrans"}
    assert "midtrans was changed" in drafted(culprit=culprit).sections["trigger"]


def test_the_timeline_is_frozen_without_what_people_hid(db: None) -> None:
    incident = make_incident()
    line(incident, at(3), "b", pinned=True)
    line(incident, at(1), "a")
    line(incident, at(2), "c", hidden=True)
    found = timeline_of(incident)
    assert [(item["ref"], item["pinned"]) for item in found] == [("a", False), ("b", True)]
    assert found[0]["title"] == "note a"


def test_drafting_reads_the_timeline_anew(db: None) -> None:
    incident = make_incident()
    episode(incident, "QueueFull", "midtrans")
    made = draft(incident_id=incident.pk, actor=SYSTEM)
    assert "QueueFull fires (Critical)" in [item["title"] for item in made.facts["timeline"]]
    assert made.facts["series"]["marks"][0]["kind"] == "alert"


def test_series_are_per_minute(db: None) -> None:
    series = gather(outage())["series"]
    position = series["times"].index(at(7).isoformat())
    assert series["services"]["midtrans"]["failed"][position] == 10
    assert sum(series["services"]["midtrans"]["failed"]) == 50 + 3 + 10 + 99
    assert set(series["services"]) == {"midtrans", "smtp"}
    states = [band["state"] for band in series["breakers"]["midtrans"]]
    assert states == ["closed", "open", "closed", "open", "open", "closed"]


def test_a_long_incident_has_no_more_points_than_can_be_seen(db: None) -> None:
    series = gather(make_incident(started_at=at(-60 * 24 * 5)))["series"]
    assert len(series["times"]) <= 240
    assert series["step_s"] % 60 == 0


# --- text from outside ------------------------------------------------------------------------------
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_titles_mean_nothing_but_themselves(db: None, text: str) -> None:
    incident = make_incident(title=text[:200], culprit={"kind": "x", "ref": "1", "title": text})
    episode(incident, text)
    made = draft(incident_id=incident.pk, actor=SYSTEM)
    html = render(made.sections["summary"]) + render(made.sections["trigger"])
    assert not any(tag in html for tag in ("<script", "<img", "<a ", "<strong", "<em", "<code", "<h", "\u202e"))
    assert "\n" not in made.title
    assert "\r" not in "".join(made.sections.values())


def test_names_read_as_they_are_written() -> None:
    assert quoted("order_paid for billing-webhook (eu1)") == "order_paid for billing-webhook (eu1)"
    assert quoted("_it_") == "\\_it\\_"


def test_services_with_odd_names(db: None) -> None:
    incident = make_incident()
    about(incident, "a|b")
    assert "a\\|b" in texts_of(gather(incident))["summary"]
