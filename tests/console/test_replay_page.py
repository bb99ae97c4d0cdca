"""The replay's dialog and page: what it previews, who was first, its pace, what failed of what."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.outbox.models import DeadLetter, Message, Replay, ReplayItem
from apps.outbox.replays.advance import advance_all
from apps.outbox.replays.preparing import prepare
from tests.conftest import make_service
from tests.console.conftest import make_person
from tests.outbox.deadletters.factories import dead
from tests.outbox.replays.helpers import die, on_their_way, together

Person = Callable[[str], Client]
FORM = {"reason": "recovered", "canary": "0", "per_second": "", "stop_above_percent": "100"}


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found
    return found[1]


def browser(email: str) -> Client:
    client = Client()
    client.force_login(make_person("operator", email))
    return client


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("same_form", [True, False])
def test_two_browsers_press_the_same_replay_at_once(same_form: bool) -> None:
    service = make_service()
    letters = [dead(service) for _ in range(40)]
    first, second = browser("ana@example.com"), browser("budi@example.com")
    url = f"/replays/new?cause={letters[0].cause_id}"
    forms = []
    for client in (first, second):
        page = client.get(url, headers={"HX-Request": "true"}).content.decode()
        forms.append({**FORM, "cause": letters[0].cause_id} | {n: hidden(page, n) for n in ("token", "known", "up_to")})
    if same_form:
        forms[1] = forms[0]
    answers = together(
        lambda: first.post("/replays/new", forms[0]),
        lambda: second.post("/replays/new", forms[1]),
    )
    assert sorted(answer.status_code for answer in answers) == [302, 409], answers
    made = Replay.objects.get()
    assert made.total == 40
    page = next(answer for answer in answers if answer.status_code == 409).content.decode()
    assert f"Replay {made.pk} by {made.created_by} began" in page
    assert "with these 40 letters." in page
    assert f'href="/replays/{made.pk}"' in page


def test_the_dialog_previews_what_it_sends_without_what_is_personal(person: Person) -> None:
    mail = make_service("smtp", channel="email")
    letter = dead(mail, payload="Dear Ana, your code is 4711", recipient="ana@example.com", subject="Your code")
    dead(mail, payload="x", recipient="budi@example.com", tenant_id="acme")
    page = person("operator").get(f"/replays/new?cause={letter.cause_id}").content.decode()
    for words in (
        "2 messages are put back: 2 to smtp.",
        "The oldest died",
        "2 tenants:",
        "CLOSED",
        "What goes to smtp",
    ):
        assert words in page
    assert "4711" not in page
    assert "ana@example.com" not in page
    assert "budi@example.com" not in page


def test_the_page_says_what_failed_of_what_and_takes_letters_out(person: Person) -> None:
    service = make_service(limits={"max_in_flight": 2})
    letters = [dead(service) for _ in range(30)]
    client = person("operator")
    client.post("/replays/new", {**FORM, "service": "midtrans", "per_second": "4"})
    made = Replay.objects.get()
    advance_all()
    die(on_their_way(made), "HTTP 503 still down")
    advance_all()
    again = DeadLetter.objects.latest("id")
    page = client.get(f"/replays/{made.pk}").content.decode()
    assert "Failed again of" in page
    assert f'href="/dead-letters/causes/{again.cause_id}"' in page
    chosen = [letters[-1].pk, letters[-2].pk]
    client.post(f"/replays/{made.pk}/take-out", {"ids": chosen})
    assert ReplayItem.objects.filter(dead_letter_id__in=chosen, state="skipped").count() == 2
    assert "2 taken out of the replay" in client.get(f"/replays/{made.pk}").content.decode()


def test_the_pace_can_be_changed_while_it_runs(person: Person) -> None:
    dead(make_service())
    client = person("operator")
    client.post("/replays/new", {**FORM, "everything": "1", "per_second": "1"})
    made = Replay.objects.get()
    page = client.get(f"/replays/{made.pk}/pace").content.decode()
    assert 'value="1.0"' in page
    client.post(f"/replays/{made.pk}/pace", {"per_second": "250", "stop_above_percent": "35", "reason": ""})
    made.refresh_from_db()
    assert (made.per_second, made.stop_above_percent) == (250, 35)
    answer = client.post(f"/replays/{made.pk}/pace", {"per_second": "0", "stop_above_percent": "35"})
    assert answer.status_code == 422


CONTENTS: dict[str, dict[str, Any]] = {
    "http": {"json": '{"n": 12345678901234567890}', "payload": None},
    "email": {"recipient": "a@example.com", "subject": "Hi", "payload": "Hello"},
    "whatsapp": {
        "recipient": "+628123456789",
        "body_template": "Hi {{ name }}",
        "body_data": {"name": "Ana"},
        "payload": None,
    },
    "slack": {"recipient": "#alerts", "payload": "down"},
    "telegram": {"recipient": "12345", "payload": "down"},
    "pagerduty": {"payload": "down"},
    "plane": {"subject": "PM-1", "payload": "down"},
}


@pytest.mark.parametrize("channel", CONTENTS)
def test_edit_and_replay_for_every_channel(channel: str, person: Person) -> None:
    letter = dead(make_service(f"{channel}-x", channel=channel), **CONTENTS[channel])
    client, url = person("lead"), f"/dead-letters/{letter.pk}/edit"
    name = next(name for name in ("json", "payload", "body_template") if CONTENTS[channel].get(name))
    fields = {key: value for key, value in CONTENTS[channel].items() if isinstance(value, str)}
    fields[name] = '{"n": 12345678901234567891}' if name == "json" else fields[name] + " again"
    if name == "body_template":
        fields["body_data"] = '{"name": "Ana"}'
    fields["reason"] = "corrected"
    preview = client.post(url, fields).content.decode()
    assert "What changes on the wire" in preview
    assert "12345678901234567891" in preview or "again" in preview
    assert not Message.objects.filter(edited_from=letter.message_id).exists()
    changed_since = {**fields, name: fields[name].replace("again", "anew").replace("7891", "7892")}
    client.post(url, {**changed_since, "confirm": hidden(preview, "confirm")})
    assert not Message.objects.filter(edited_from=letter.message_id).exists()
    answer = client.post(url, {**fields, "confirm": hidden(preview, "confirm")})
    assert answer.status_code == 302, answer.content.decode()
    copy = Message.objects.get(edited_from=letter.message_id)
    assert f"/outbox/{copy.pk}" in client.get(f"/dead-letters/{letter.pk}").content.decode()


def test_the_page_shows_how_many_are_taken_in(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.outbox.replays.services.AT_ONCE", 20)
    monkeypatch.setattr("apps.outbox.replays.preparing.BATCH", 10)
    service = make_service()
    letters = [dead(service) for _ in range(30)]
    client = person("operator")
    form = {"reason": "bank is back", "canary": "0", "per_second": "", "stop_above_percent": "20"}
    pressed = client.post("/replays/new", {**form, "cause": letters[0].cause_id, "known": "", "token": "t"})
    made = Replay.objects.get()
    assert pressed.headers["Location"] == f"/replays/{made.pk}"
    prepare(made.pk)
    page = client.get(f"/replays/{made.pk}").content.decode()
    for words in (f"Replay {made.pk} is taking in 30 letters.", "PREPARING", "taken in", "Cancel…"):
        assert words in page
    assert f"/replays/{made.pk}/pause" not in page
    again = client.post("/replays/new", {**form, "cause": letters[0].cause_id, "known": "", "token": "u"})
    assert again.status_code == 409
    assert f'href="/replays/{made.pk}"' in again.content.decode()
    assert "PREPARING" in client.get("/replays").content.decode()
