"""Finding everything from one field: what is found, for whom, and without a scan."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from apps.accounts.models import ApiKey, SavedView, User
from apps.accounts.saved_views import save_view
from apps.console.selectors.find import LONGEST
from apps.outbox.models import Cause, Message
from apps.services.models import Service
from tests.console.conftest import make_person
from tests.console.places import places

Person = Callable[[str], Client]
HIT = re.compile(r'<a role="option"[^>]* href="([^"]*)"')


def hits(client: Client, query: str) -> list[str]:
    """Where the options of the palette lead, in their order."""
    response = client.get("/find", {"q": query}, headers={"X-Palette": "1"})
    assert response.status_code == 200
    return [url.replace("&amp;", "&") for url in HIT.findall(response.content.decode())]


def test_a_message_is_found_by_number_wire_id_and_key(night: None, person: Person) -> None:
    client = person("viewer")
    message = Message.objects.get(pk=places()["dead"])
    Message.objects.filter(pk=message.pk).update(idempotency_key="order-77-paid")
    for query in (str(message.pk), f"#{message.pk}", f"message {message.pk}", message.wire_id, "order-77-paid"):
        assert hits(client, query)[0] == f"/outbox/{message.pk}", query


def test_recipients_are_found_only_by_who_may_see_them(night: None, person: Person) -> None:
    message = Message.objects.create(service_id="smtp", recipient="zita.only@example.com", payload="{}")
    assert hits(person("operator"), "Zita.On") == [f"/outbox/{message.pk}"]
    assert hits(person("viewer"), "zita.only@example.com") == []
    assert "zita" not in person("operator").get("/find?q=nothing").content.decode()
    shown = person("operator").get("/find", {"q": "zita.only"}, headers={"X-Palette": "1"}).content.decode()
    assert "zita.only@example.com" not in shown, "who may reveal does so on the message's page, in the audit trail"


def test_services_causes_letters_and_replays_are_found(night: None, person: Person) -> None:
    client, known = person("viewer"), places()
    assert hits(client, "midtr")[0] == "/services/midtrans"
    cause = Cause.objects.get(pk=known["cause"])
    Cause.objects.filter(pk=cause.pk).update(error_class="timeout", status_code=None)
    assert f"/dead-letters/causes/{cause.pk}" in hits(client, f"{cause.service} time-out")
    assert f"/dead-letters/causes/{cause.pk}" in hits(client, cause.pk)
    assert f"/dead-letters/{known['letter']}" in hits(client, f"letter {known['letter']}")
    assert f"/replays/{known['replay']}" in hits(client, f"replay {known['replay']}")


def test_pages_and_own_views_come_before_typing(night: None, person: Person) -> None:
    client = person("viewer")
    save_view(person=User.objects.get(), page="outbox", name="Stuck payments", query="status=waiting")
    found = hits(client, "")
    assert {"/", "/services", "/outbox", "/dead-letters", "/replays"} <= set(found)
    assert "/outbox?status=waiting" in found
    assert hits(client, "stuck") == ["/outbox?status=waiting"]


def test_views_of_others_are_not_found(night: None, person: Person) -> None:
    save_view(person=make_person("lead", "other@example.com"), page="outbox", name="Stuck payments", query="")
    assert hits(person("viewer"), "stuck") == []
    assert SavedView.objects.count() == 1


@pytest.mark.parametrize(
    ("role", "there"),
    [
        ("viewer", set()),
        ("operator", {"pause", "override?action=force_open"}),
        ("lead", {"pause", "override?action=force_open", "settings"}),
        ("admin", {"pause", "override?action=force_open", "settings"}),
    ],
)
def test_actions_are_found_by_who_may_do_them(night: None, person: Person, role: str, there: set[str]) -> None:
    client = person(role)
    found = {
        url.removeprefix("/services/slack/")
        for query in ("pause slack", "force slack", "settings slack")
        for url in hits(client, query)
        if url.startswith("/services/slack/")
    }
    assert found >= there
    assert bool(found) == bool(there)


def test_a_paused_service_offers_to_be_resumed(night: None, person: Person) -> None:
    Service.objects.filter(pk="slack").update(paused_at="2026-11-21T09:00:00Z", paused_by="x", paused_reason="y")
    client = person("operator")
    assert hits(client, "resume slack") == ["/services/slack/resume"]
    assert hits(client, "pause slack") == []
    page = client.get("/find", {"q": "resume slack"}, headers={"X-Palette": "1"}).content.decode()
    assert re.search(r'<form method="post" action="/services/slack/resume" id="send-', page)
    assert "csrfmiddlewaretoken" in page


def test_one_finds_how_to_log_out_and_change_the_look(person: Person, db: None) -> None:
    client = person("viewer")
    assert hits(client, "log out") == ["/logout"]
    assert hits(client, "theme dark") == ["/theme"]
    assert "/language" in hits(client, "language")


def test_people_and_keys_are_found_by_who_manages_them(person: Person, db: None) -> None:
    anna = make_person("operator", "anna.kurnia@example.com")
    ApiKey.objects.create(name="checkout-prod", prefix="opk_abc", key_hash="0" * 64)
    admin, lead, operator = person("admin"), person("lead"), person("operator")
    assert f"/settings/people/{anna.pk}" in hits(admin, "kurnia")
    assert hits(lead, "kurnia") == []
    assert any(url.startswith("/settings/keys#") for url in hits(lead, "checkout"))
    assert hits(operator, "checkout") == []


def test_without_script_there_is_a_page_of_results(night: None, person: Person) -> None:
    client = person("operator")
    page = client.get("/find?q=midtrans").content.decode()
    assert "<h1>Search</h1>" in page
    assert '<a class="main-link" href="/services/midtrans"' in page
    assert "Pause midtrans…" in page
    assert "Nothing is called" in client.get("/find?q=zzzz").content.decode()
    assert client.get("/find").status_code == 200


def test_what_was_typed_is_only_text(night: None, person: Person) -> None:
    nasty = '<script>alert(1)</script>" onfocus="x'
    page = person("admin").get("/find", {"q": nasty}).content.decode()
    assert escape(nasty) in page
    assert "<script>alert" not in page
    for odd in ("\x00", "%", "_", "'", "9" * 30, "-1", "٣", "x" * 5000, "msg_zz", "🙂"):
        assert isinstance(hits(person("admin"), odd), list), odd


def test_a_search_asks_little_and_never_looks_through_messages(night: None, person: Person) -> None:
    client = person("admin")
    for query in ("midtrans", "12", "nobody@example.com", "msg_" + "0" * 32, "timeout", "x" * LONGEST):
        cache.clear()
        hits(client, query)
        with CaptureQueriesContext(connection) as queries:
            hits(client, query)
        assert len(queries) <= 15, (query, len(queries))
        asked = [row["sql"] for row in queries if "notification_outbox" in row["sql"]]
        assert not any("LIKE" in sql.upper() for sql in asked), query


def test_who_is_not_logged_in_finds_nothing(db: None) -> None:
    assert Client().get("/find?q=x").status_code == 302


def test_the_help_sheet_is_a_page_and_a_dialog(person: Person, db: None) -> None:
    client = person("viewer")
    assert "<h1>Keyboard shortcuts</h1>" in client.get("/shortcuts").content.decode()
    sheet = client.get("/shortcuts", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in sheet
    assert "<kbd>g</kbd> <kbd>d</kbd>" in sheet


def test_single_keys_are_turned_off_and_on(person: Person, db: None) -> None:
    client = person("viewer")
    assert 'data-keys="on"' in client.get("/shortcuts").content.decode()
    response = client.post("/shortcuts/switch", {"keys": "off", "next": "/outbox"})
    assert response.headers["Location"] == "/outbox"
    assert 'data-keys="off"' in client.get("/outbox").content.decode()
    client.post("/shortcuts/switch", {"keys": "on", "next": "https://evil.example/"})
    assert 'data-keys="on"' in client.get("/outbox").content.decode()


def test_the_switch_leads_nowhere_else(person: Person, db: None) -> None:
    response = person("viewer").post("/shortcuts/switch", {"keys": "off", "next": "//evil.example"})
    assert response.headers["Location"] == "/"
