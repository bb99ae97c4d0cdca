"""Triage in the browser: one letter, a selection, all that match; undo, history, and work that goes on elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from apps.audit.models import AuditEntry
from apps.console.views import triage as views
from apps.core.clock import now
from apps.outbox.deadletters import working
from apps.outbox.models import DeadLetter, ReplayItem, Triage, TriageMark
from apps.services.models import Service
from tests.conftest import make_service
from tests.outbox.deadletters.factories import dead

Person = Callable[[str], Client]
ME = "operator@example.com"


def letters(count: int, **fields: Any) -> list[DeadLetter]:
    service = make_service()
    return [dead(service, **fields) for _ in range(count)]


def toast(answer: Any) -> Any:
    return list(get_messages(answer.wsgi_request))[-1]


def fresh(letter: DeadLetter) -> DeadLetter:
    return DeadLetter.objects.get(pk=letter.pk)


def test_assign_to_me_and_undo(person: Person) -> None:
    one, other = letters(2)
    DeadLetter.objects.filter(pk=one.pk).update(assignee="ana@example.com")
    client = person("operator")
    answer = client.post("/dead-letters/assign", {"cause": one.cause_id, "to": ME, "back": f"/dead-letters/{one.pk}"})
    assert answer.headers["Location"] == f"/dead-letters/{one.pk}"
    assert str(toast(answer)) == f"2 dead letters are assigned to {ME}."
    undo = toast(answer).extra_tags
    page = client.get(f"/dead-letters/{one.pk}").content.decode()
    assert f'action="{undo}"' in page
    assert f"{ME} assigned it to {ME}" in page
    assert "It was assigned to ana@example.com." in page
    client.post(undo)
    assert (fresh(one).assignee, fresh(other).assignee) == ("ana@example.com", "")
    assert [entry.action for entry in AuditEntry.objects.order_by("id")] == ["deadletter.assigned", "deadletter.undone"]
    assert "was undone already" in str(toast(client.post(undo)))


def test_undo_leaves_alone_what_somebody_changed_since(person: Person) -> None:
    one, other = letters(2)
    client = person("operator")
    client.post("/dead-letters/assign", {"everything": "1", "to": ME})
    DeadLetter.objects.filter(pk=one.pk).update(assignee="ana@example.com")
    client.post(f"/dead-letters/triage/{Triage.objects.get().pk}/undo")
    assert (fresh(one).assignee, fresh(other).assignee) == ("ana@example.com", "")


def test_notes_are_kept_one_after_another(person: Person) -> None:
    (one,) = letters(1)
    person("operator").post("/dead-letters/note", {"ids": one.pk, "note": "asked the bank"})
    person("lead").post("/dead-letters/note", {"ids": one.pk, "note": "they answer on Monday"})
    page = person("viewer").get(f"/dead-letters/{one.pk}").content.decode()
    assert page.index("they answer on Monday") < page.index("asked the bank")
    assert "operator@example.com noted" in page
    assert "lead@example.com noted" in page
    assert fresh(one).note == "they answer on Monday"


def test_a_snoozed_cause_is_out_of_sight_until_it_wakes_or_dies_anew(person: Person) -> None:
    one, _ = letters(2)
    client = person("operator")
    client.post("/dead-letters/snooze", {"cause": one.cause_id, "snooze": "1"})
    page = client.get("/dead-letters").content.decode()
    assert "2 snoozed letters are out of sight" in page
    assert f"/dead-letters/causes/{one.cause_id}" not in page
    assert f"/dead-letters/causes/{one.cause_id}" in client.get("/dead-letters?state=snoozed").content.decode()
    new = dead(one.message.service)
    assert new.cause_id == one.cause_id
    page = client.get("/dead-letters").content.decode()
    assert f"/dead-letters/causes/{one.cause_id}" in page
    assert "2 snoozed</span>" in page
    DeadLetter.objects.update(snoozed_until=now() - timedelta(seconds=1))
    page = client.get("/dead-letters").content.decode()
    assert "out of sight" not in page


@pytest.mark.parametrize(("given", "least", "most"), [("4", 3.9, 4.1), ("tomorrow", 0, 48), ("wake", None, None)])
def test_how_long(given: str, least: float | None, most: float | None, person: Person) -> None:
    (one,) = letters(1)
    DeadLetter.objects.update(snoozed_until=now() + timedelta(days=9))
    person("operator").post("/dead-letters/snooze", {"ids": one.pk, "snooze": given})
    until = fresh(one).snoozed_until
    if least is None or most is None:
        assert until is None
    else:
        assert until is not None
        assert timedelta(hours=least) < until - now() < timedelta(hours=most)


def test_a_time_of_ones_own_must_be_given_and_lie_ahead(person: Person) -> None:
    (one,) = letters(1)
    client = person("operator")
    assert (
        "Say until when." in client.post("/dead-letters/snooze", {"ids": one.pk, "snooze": "custom"}).content.decode()
    )
    past = {"ids": one.pk, "snooze": "custom", "until": "2020-01-01T09:00"}
    answer = client.post("/dead-letters/snooze", past)
    assert answer.status_code == 422
    assert "in the future" in answer.content.decode()
    ahead = f"{now() + timedelta(days=2):%Y-%m-%dT%H:%M}"
    assert client.post("/dead-letters/snooze", {**past, "until": ahead}).status_code == 302


def test_all_that_match_means_those_of_the_preview(person: Person) -> None:
    some = letters(60)
    client = person("operator")
    page = client.get(f"/dead-letters/causes/{some[0].cause_id}").content.decode()
    assert 'data-total="60"' in page
    assert f'name="all-cause" value="{some[0].cause_id}"' in page
    chosen = {"whole": "1", "all-cause": some[0].cause_id, "ids": [letter.pk for letter in some[:50]]}
    dialog = client.get("/dead-letters/discard", chosen, headers={"HX-Request": "true"}).content.decode()
    assert "Discard 60 dead letters" in dialog
    assert f'name="up_to" value="{some[-1].pk}"' in dialog
    late = dead(some[0].message.service)
    posted = {"cause": some[0].cause_id, "up_to": some[-1].pk, "reason": "obsolete"}
    assert str(toast(client.post("/dead-letters/discard", posted))) == "60 dead letters discarded."
    assert fresh(late).state == "open"


def test_chosen_rows_only(person: Person) -> None:
    one, other, _ = letters(3)
    client = person("operator")
    dialog = client.get("/dead-letters/discard", {"ids": [one.pk, other.pk], "all-cause": one.cause_id})
    assert "Discard 2 dead letters" in dialog.content.decode()


def test_the_same_form_counts_once(person: Person) -> None:
    (one,) = letters(1)
    client = person("operator")
    fields = {"ids": one.pk, "note": "twice", "token": "form-1"}
    assert client.post("/dead-letters/note", fields).status_code == 302
    answer = client.post("/dead-letters/note", fields)
    assert answer.status_code == 409
    assert f'href="/dead-letters/triage/{Triage.objects.get().pk}"' in answer.content.decode()


def test_many_go_on_in_the_control_queue_and_can_be_stopped(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "BATCH", 4)
    monkeypatch.setattr(views, "INLINE_S", 0.0)
    some = letters(10)
    client = person("operator")
    answer = client.post("/dead-letters/assign", {"everything": "1", "to": ME})
    made = Triage.objects.get()
    assert (made.state, answer.headers["Location"]) == ("running", f"/dead-letters/triage/{made.pk}")
    assert working.step(made.pk)
    page = client.get(f"/dead-letters/triage/{made.pk}").content.decode()
    assert "It goes on by itself" in page
    assert f"/dead-letters/triage/{made.pk}" in client.get("/dead-letters").content.decode()
    client.post(f"/dead-letters/triage/{made.pk}/stop")
    assert not working.step(made.pk)
    assert DeadLetter.objects.filter(assignee=ME).count() == 4
    assert "What was done stays done" in client.get(f"/dead-letters/triage/{made.pk}").content.decode()
    client.post("/dead-letters/assign", {"everything": "1", "to": ME})
    working.advance_all()
    assert Triage.objects.latest("id").state == "done"
    assert DeadLetter.objects.filter(assignee=ME).count() == len(some)
    assert TriageMark.objects.count() == 4 + 10


def test_a_viewer_may_not(person: Person) -> None:
    (one,) = letters(1)
    client = person("viewer")
    for verb in ("assign", "note", "snooze", "discard"):
        assert client.get(f"/dead-letters/{verb}?ids={one.pk}").status_code == 403
        assert client.post(f"/dead-letters/{verb}", {"ids": one.pk}).status_code == 403
    assert not Triage.objects.exists()


def test_nothing_leads_to_another_site(person: Person) -> None:
    (one,) = letters(1)
    for back in ("https://evil.example/", "//evil.example/", "/\\evil.example"):
        answer = person("operator").post("/dead-letters/note", {"ids": one.pk, "note": "x", "back": back})
        assert answer.headers["Location"] == "/dead-letters"


FILTERS = ("service=smtp", "tenant=acme", "assignee=-", "q=mailbox", "service=smtp&tenant=acme&q=mailbox")


def make_service_once(name: str) -> Service:
    return Service.objects.filter(pk=name).first() or make_service(name, channel="email")


def everything_shown(client: Client, path: str) -> dict[str, str]:
    """What the button "select all that match" puts into the form."""
    page = client.get(path).content.decode()
    found = dict(re.findall(r'name="(all-[a-z_]+)" value="([^"]*)"', page))
    assert found["all-up_to"]
    return {**found, "whole": "1"}


@pytest.mark.parametrize("query", FILTERS)
@pytest.mark.parametrize("verb", ["assign", "note", "snooze", "discard", "replay"])
def test_all_that_match_are_those_shown_and_none_that_died_since(query: str, verb: str, person: Person) -> None:
    meant = [dead(make_service_once("smtp"), "mailbox full", tenant_id="acme") for _ in range(55)]
    beside = [
        dead(make_service_once("midtrans"), "bank closed", tenant_id="other"),
        dead(make_service_once("smtp"), "mailbox full", tenant_id="acme"),
        dead(make_service_once("smtp"), "mailbox full", tenant_id="acme"),
    ]
    DeadLetter.objects.filter(pk__in=[letter.pk for letter in beside]).update(assignee="ana@example.com")
    DeadLetter.objects.filter(pk=beside[1].pk).update(state="discarded")
    DeadLetter.objects.filter(pk=beside[2].pk).update(snoozed_until=now() + timedelta(hours=1))
    client = person("operator")
    fields = everything_shown(client, f"/dead-letters/letters?{query}")
    late = dead(make_service_once("smtp"), "mailbox full", tenant_id="acme")
    before = {letter.pk: fresh(letter) for letter in (*beside, late)}
    answer = client.post(*PRESSES[verb](fields))
    assert answer.status_code == 302, answer.content.decode()
    assert touched(verb) == {letter.pk for letter in meant}
    for letter in (*beside, late):
        assert vars_of(fresh(letter)) == vars_of(before[letter.pk])


PRESSES: dict[str, Callable[[dict[str, str]], tuple[str, dict[str, str]]]] = {
    "assign": lambda fields: ("/dead-letters/assign", {**fields, "to": ME}),
    "note": lambda fields: ("/dead-letters/note", {**fields, "note": "asked"}),
    "snooze": lambda fields: ("/dead-letters/snooze", {**fields, "snooze": "1"}),
    "discard": lambda fields: ("/dead-letters/discard", {**fields, "reason": "too late"}),
    "replay": lambda fields: ("/replays/new", {**fields, "reason": "x", "canary": "0", "stop_above_percent": "20"}),
}


def touched(verb: str) -> set[int]:
    if verb == "replay":
        return set(ReplayItem.objects.values_list("dead_letter_id", flat=True))
    return set(TriageMark.objects.values_list("letter_id", flat=True))


def vars_of(letter: DeadLetter) -> dict[str, Any]:
    return {name: value for name, value in vars(letter).items() if name != "_state"}
