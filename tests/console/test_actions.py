"""What is pressed: forms, their refusals, and that the service layer did it with the right person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.messages import get_messages
from django.test import Client

from apps.audit.models import AuditEntry
from apps.breakers.models import Override, SharedBreaker
from apps.outbox.models import DeadLetter, Message, Replay, ReplayState
from apps.services.models import Service
from tests.console.places import places

Person = Callable[[str], Client]
REPLAY = {"reason": "recovered", "canary": "2", "per_second": "5", "stop_above_percent": "20"}


def said(response: Any) -> str:
    """The toast of this answer; older ones that no page has shown yet stand before it."""
    found = [str(message) for message in get_messages(response.wsgi_request)]
    return found[-1] if found else ""


def force_open(client: Client, **fields: str) -> Any:
    given = {"action": "force_open", "reason": "maintenance", "expires_in": "1800", **fields}
    return client.post("/services/midtrans/override", given)


def test_forcing_open_says_so_and_is_audited(night: None, person: Person) -> None:
    answer = force_open(person("operator"), seen_epoch=str(SharedBreaker.objects.get(name="midtrans").epoch))
    assert answer.status_code == 302
    assert "midtrans is forced open" in said(answer)
    breaker = SharedBreaker.objects.get(name="midtrans")
    assert breaker.override == Override.FORCED_OPEN
    entry = AuditEntry.objects.order_by("pk").last()
    assert entry is not None
    assert (entry.actor, entry.ip, entry.reason) == ("operator@example.com", "127.0.0.1", "maintenance")


def test_a_stale_page_is_refused_and_then_shows_what_is_true(night: None, person: Person) -> None:
    client = person("operator")
    answer = force_open(client, seen_epoch="40")
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "has changed since you looked" in page
    assert 'name="seen_epoch" value="41"' in page
    assert 'value="maintenance"' in page
    assert SharedBreaker.objects.get(name="midtrans").override == Override.NONE
    assert not AuditEntry.objects.filter(actor="operator@example.com").exists()


def test_an_override_needs_a_reason_and_an_end(night: None, person: Person) -> None:
    page = force_open(person("operator"), reason=" ", expires_in="", seen_epoch="41").content.decode()
    assert "Say why: it goes into the audit trail." in page
    assert 'aria-invalid="true"' in page
    assert SharedBreaker.objects.get(name="midtrans").override == Override.NONE


def test_the_dialog_says_how_many_wait(night: None, person: Person) -> None:
    page = person("operator").get("/services/midtrans/override?action=force_open", headers={"HX-Request": "true"})
    text = page.content.decode()
    assert "messages go on waiting" in text
    assert "Nothing is lost" in text
    assert "<html" not in text


def test_htmx_is_told_where_to_go(night: None, person: Person) -> None:
    client = person("operator")
    fields = {"action": "reset", "reason": "fixed", "seen_epoch": "41"}
    answer = client.post("/services/midtrans/override", fields, headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == "/services/midtrans"
    assert "CLOSED" in client.get("/services/midtrans").content.decode()


def test_ending_an_override_there_is_none_of(night: None, person: Person) -> None:
    fields = {"action": "auto", "reason": "x", "seen_epoch": "41"}
    page = person("operator").post("/services/midtrans/override", fields).content.decode()
    assert "has no override that could be ended" in page


def test_an_action_there_is_none_of(night: None, person: Person) -> None:
    assert person("operator").get("/services/midtrans/override?action=explode").status_code == 422


def test_testing_now(night: None, person: Person) -> None:
    client = person("operator")
    assert "is the test" in said(client.post("/services/midtrans/test"))
    assert "nothing to test" in said(client.post("/services/smtp/test"))


def test_pausing_and_resuming(night: None, person: Person) -> None:
    client = person("operator")
    assert client.post("/services/smtp/pause", {"reason": ""}).status_code == 422
    assert client.post("/services/smtp/pause", {"reason": "mail moves"}).status_code == 302
    page = client.get("/services/smtp").content.decode()
    assert "mail moves" in page
    assert "Resume" in page
    assert client.post("/services/smtp/resume").status_code == 302
    assert Service.objects.get(pk="smtp").paused_at is None


def settings_form(**fields: str) -> dict[str, str]:
    return {
        "owner": "mail",
        "runbook_url": "",
        "retry": "{}",
        "breaker": '{"timeout": 5}',
        "limits": "{}",
        "ordering": "{}",
        "settings": '{"host": "mail.example", "port": 587, "from_address": "shop@example.com"}',
        "reason": "too nervous",
        "seen_version": "1",
        **fields,
    }


def test_a_lead_edits_settings(night: None, person: Person) -> None:
    client = person("lead")
    answer = client.post("/services/smtp/settings", settings_form(retry='{"max_attempts": 7}'))
    assert answer.status_code == 302, answer.content.decode()[-3000:]
    assert Service.objects.get(pk="smtp").retry_policy.max_attempts == 7
    assert "too nervous" in client.get("/services/smtp").content.decode()


def test_wrong_settings_are_named_beside_their_section(night: None, person: Person) -> None:
    client = person("lead")
    page = client.post(
        "/services/smtp/settings", settings_form(retry='{"max_attempts": 0, "bases": 1}')
    ).content.decode()
    assert "retry.max_attempts" in page
    assert "retry.bases" in page
    assert "This is not JSON" in client.post("/services/smtp/settings", settings_form(limits="{")).content.decode()
    assert Service.objects.get(pk="smtp").config_version == 1


def test_somebody_elses_edit_is_not_overwritten(night: None, person: Person) -> None:
    Service.objects.filter(pk="smtp").update(config_version=3)
    page = person("lead").post("/services/smtp/settings", settings_form()).content.decode()
    assert "changed by someone else" in page


def test_revealing_is_audited_and_masked_otherwise(night: None, person: Person) -> None:
    message = Message.objects.filter(service_id="smtp").exclude(recipient="").first()
    assert message is not None
    client = person("operator")
    assert message.recipient not in client.get(f"/outbox/{message.pk}").content.decode()
    for headers in ({}, {"HX-Request": "true"}):
        answer = client.post(f"/outbox/{message.pk}/reveal", headers=headers)
        assert message.recipient in answer.content.decode()
        assert answer.headers["Cache-Control"] == "private, no-store"
    assert AuditEntry.objects.filter(action="message.revealed", target=f"message {message.pk}").count() == 2


def test_a_viewer_finds_nobody_by_searching(night: None, person: Person) -> None:
    message = Message.objects.filter(service_id="smtp").exclude(recipient="").first()
    assert message is not None
    link = f'href="/outbox/{message.pk}"'
    query = {"q": message.recipient}
    assert link in person("operator").get("/outbox", query).content.decode()
    viewer = person("viewer")
    assert link not in viewer.get("/outbox", query).content.decode()
    for known in (str(message.pk), message.wire_id, message.idempotency_key):
        assert link in viewer.get("/outbox", {"q": known}).content.decode()


def test_cancelling_and_trying_now(night: None, person: Person) -> None:
    client, pk = person("operator"), places()["waiting"]
    assert "is due now" in said(client.post(f"/outbox/{pk}/retry"))
    assert client.post(f"/outbox/{pk}/cancel", {"reason": ""}).status_code == 302
    assert Message.objects.get(pk=pk).status == "CANCELLED"
    assert "nothing left to do" in said(client.post(f"/outbox/{pk}/retry"))
    assert "nothing left to do" in client.post(f"/outbox/{pk}/cancel", {"reason": ""}).content.decode()


def test_a_replay_says_what_it_will_do_and_does_it(night: None, person: Person) -> None:
    client, cause = person("operator"), places()["cause"]
    count = DeadLetter.objects.filter(cause_id=cause, state="open").count()
    dialog = client.get(f"/replays/new?cause={cause}").content.decode()
    assert f"Replay {count} messages" in dialog
    assert "Waits: the breaker of midtrans is open" in dialog
    answer = client.post("/replays/new", {**REPLAY, "cause": cause})
    replay = Replay.objects.order_by("-id").first()
    assert replay is not None
    assert answer.headers["Location"] == f"/replays/{replay.pk}"
    assert (replay.total, replay.canary, replay.per_second, replay.created_by) == (count, 2, 5, "operator@example.com")


def test_a_second_replay_of_the_same_letters_is_told_who_was_first(night: None, person: Person) -> None:
    client, cause = person("operator"), places()["cause"]
    client.post("/replays/new", {**REPLAY, "cause": cause})
    answer = client.post("/replays/new", {**REPLAY, "cause": cause})
    first = Replay.objects.latest("id")
    assert answer.status_code == 409
    assert f"Replay {first.pk} by operator@example.com began" in answer.content.decode()
    assert f'href="/replays/{first.pk}"' in answer.content.decode()
    assert "Nothing can be put back" in client.get(f"/replays/new?cause={cause}").content.decode()


def test_the_preview_follows_the_rate(night: None, person: Person) -> None:
    client, cause = person("operator"), places()["cause"]
    page = client.get("/replays/new", {"preview": "1", "cause": cause, "per_second": "0.5"}).content.decode()
    assert "once it is let through" in page
    for rate in ("nonsense", "-3", "0", "inf", "nan"):
        assert client.get("/replays/new", {"preview": "1", "cause": cause, "per_second": rate}).status_code == 200


def test_selected_letters_only(night: None, person: Person) -> None:
    client = person("operator")
    ids = list(DeadLetter.objects.filter(state="open", service="midtrans").values_list("pk", flat=True)[:2])
    assert "Replay 2 messages" in client.get("/replays/new", {"ids": ids}).content.decode()
    client.post("/replays/new", {**REPLAY, "ids": ids})
    replay = Replay.objects.order_by("-id").first()
    assert replay is not None
    assert replay.total == 2
    assert client.get("/replays/new?ids=x").status_code == 422


def test_holding_a_replay(night: None, person: Person) -> None:
    client, pk = person("operator"), places()["replay"]
    assert "is paused" in said(client.post(f"/replays/{pk}/pause"))
    assert Replay.objects.get(pk=pk).state == ReplayState.PAUSED
    assert "this needs one that is" in said(client.post(f"/replays/{pk}/pause"))
    assert "goes on" in said(client.post(f"/replays/{pk}/resume"))
    assert "this needs one that is" in said(client.post(f"/replays/{pk}/resume"))
    assert "open again" in said(client.post(f"/replays/{pk}/cancel", {"reason": "wrong cause"}))
    assert Replay.objects.get(pk=pk).state == ReplayState.CANCELLED


def test_a_replay_that_stopped_by_itself_asks_for_a_limit(night: None, person: Person) -> None:
    client, pk = person("operator"), places()["replay"]
    Replay.objects.filter(pk=pk).update(state=ReplayState.STOPPED, stop_above_percent=0)
    assert client.post(f"/replays/{pk}/resume", {"reason": ""}).status_code == 422
    again = client.post(f"/replays/{pk}/resume", {"reason": "half are fixed", "stop_above_percent": "0"})
    assert "failed again, more than its limit" in again.content.decode()
    assert client.post(f"/replays/{pk}/resume", {"reason": "go", "stop_above_percent": "90"}).status_code == 302


def test_discarding(night: None, person: Person) -> None:
    client, cause = person("operator"), places()["cause"]
    assert client.post("/dead-letters/discard", {"cause": cause, "reason": ""}).status_code == 422
    assert "discarded" in said(client.post("/dead-letters/discard", {"cause": cause, "reason": "test data"}))
    assert not DeadLetter.objects.filter(cause_id=cause, state="open").exists()
    assert (
        "No open dead letter matches"
        in client.post("/dead-letters/discard", {"cause": cause, "reason": "again"}).content.decode()
    )


def test_edit_shows_the_difference_before_it_sends(night: None, person: Person) -> None:
    client, known = person("operator"), places()
    url = f"/dead-letters/{known['letter']}/edit"
    original = Message.objects.get(pk=known["dead"])
    assert original.payload is not None
    fields = {"payload": original.payload.replace("IDR", "USD"), "reason": "wrong currency"}
    preview = client.post(url, fields).content.decode()
    assert "What changes" in preview
    assert "<ins>" in preview
    assert not Message.objects.filter(edited_from=original.pk).exists()
    seen = preview.partition('name="confirm" value="')[2].partition('"')[0]
    answer = client.post(url, {**fields, "confirm": seen})
    copy = Message.objects.get(edited_from=original.pk)
    assert answer.headers["Location"] == f"/outbox/{copy.pk}"
    assert copy.payload == fields["payload"]
    assert f"message {original.pk}" in client.get(f"/outbox/{copy.pk}").content.decode()


def test_an_edit_that_changes_nothing(night: None, person: Person) -> None:
    client, known = person("operator"), places()
    original = Message.objects.get(pk=known["dead"])
    fields = {"payload": original.payload or "", "reason": "x", "confirm": "1"}
    page = client.post(f"/dead-letters/{known['letter']}/edit", fields)
    assert "Nothing was changed" in page.content.decode()


def test_template_data_that_is_not_json(night: None, person: Person) -> None:
    letter = DeadLetter.objects.filter(service="smtp", state="open").first()
    assert letter is not None
    fields = {"recipient": letter.message.recipient, "subject": letter.message.subject, "reason": "x", "confirm": "1"}
    fields |= {"body_template": letter.message.body_template, "body_data": "{oops"}
    page = person("operator").post(f"/dead-letters/{letter.pk}/edit", fields)
    assert page.status_code == 422
    assert "This is not JSON" in page.content.decode()
