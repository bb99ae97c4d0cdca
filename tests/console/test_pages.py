"""Every page, for every role: answers, refuses, and is safe to look at."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.roles import Role
from apps.audit.models import AuditEntry
from apps.outbox.models import Attempt, Cause, DeadLetter, Message
from apps.services.models import Service
from tests.console.places import DIALOGS, PAGES, POSTS, places

INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\bsrc=)|\son[a-z]+=|javascript:", re.IGNORECASE)
LINKS = re.compile(r'(?:src|href|action|hx-get|hx-post)="([^"]*)"')
RANKS = list(Role.values)
MOST_QUERIES = 15
# The first look after the cache was emptied, once for all viewers together.
MOST_WITHOUT_CACHE = 26
# A page of an incident ranks its suspects then as well, which is kept for a quarter of a minute.
RANKING = 5


class Tags(HTMLParser):
    """Collects what a browser would run."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if any(name.startswith("on") or name == "style" for name in names) or (tag == "script" and "src" not in names):
            self.bad.append(f"{tag} {attrs}")


Person = Callable[[str], Client]


@pytest.mark.parametrize("role", RANKS)
def test_every_page_answers_for_every_role(night: None, person: Person, role: str) -> None:
    client, known = person(role), places()
    for path in PAGES:
        response = client.get(path.format(**known))
        assert response.status_code == 200, path
        assert response.headers["Cache-Control"].startswith("private"), path


@pytest.mark.parametrize("role", RANKS)
def test_dialogs_open_for_who_may(night: None, person: Person, role: str) -> None:
    client, known = person(role), places()
    for path, least in DIALOGS.items():
        expected = 200 if RANKS.index(role) >= RANKS.index(least) else 403
        for headers in ({}, {"HX-Request": "true"}):
            response = client.get(path.format(**known), headers=headers)
            assert response.status_code == expected, (path, headers)


def test_a_viewer_is_shown_no_button_they_may_not_press(night: None, person: Person) -> None:
    client, known = person("viewer"), places()
    for path in PAGES:
        page = client.get(path.format(**known)).content.decode()
        for word in ("Reveal", "Override", "Pause…", "Replay…", "Discard…", "Try now", 'midtrans/settings"'):
            assert word not in page, (path, word)


def test_a_viewer_changes_nothing(night: None, person: Person) -> None:
    client, known = person("viewer"), places()
    fields = {"reason": "x", "action": "force_open", "expires_in": "900", "seen_epoch": "41", "cause": known["cause"]}
    for path in POSTS:
        response = client.post(path.format(**known), {**fields, "canary": "0", "stop_above_percent": "20"})
        assert response.status_code in (302, 403), path
    assert not AuditEntry.objects.filter(actor="viewer@example.com").exists()
    assert Service.objects.get(pk="midtrans").paused_at is None


def test_logged_out_pages_lead_to_the_log_in(night: None) -> None:
    client, known = Client(), places()
    for path in (*PAGES, *DIALOGS):
        response = client.get(path.format(**known))
        assert response.status_code == 302, path
        assert response.headers["Location"].startswith("/login?next="), path


def test_posts_without_a_csrf_token_are_refused(night: None, person: Person) -> None:
    client, known = person("admin"), places()
    strict = Client(enforce_csrf_checks=True, headers={"Cookie": ""})
    strict.cookies = client.cookies
    for path in (*POSTS, "/logout", "/theme", "/login"):
        response = strict.post(path.format(**known), {"reason": "x"})
        assert response.status_code == 403, path
        assert b"out of date" in response.content, path


def test_nothing_inline_and_nothing_from_elsewhere(night: None, person: Person) -> None:
    client, known = person("admin"), places()
    for path in (*PAGES, *DIALOGS, "/nowhere", "/services/nope"):
        response = client.get(path.format(**known))
        page = response.content.decode()
        assert not INLINE.search(page), (path, INLINE.search(page))
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        for link in LINKS.findall(page):
            assert link.startswith(("/", "?", "#", "https://runbooks.example/")) or not link, (path, link)


def test_the_log_in_page_is_as_strict(client: Client, db: None) -> None:
    response = client.get("/login")
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    assert not INLINE.search(response.content.decode())


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a second is over between two requests."""
    monkeypatch.setattr("apps.console.selectors.vitals.SECONDS", 60)
    monkeypatch.setattr("apps.outbox.figures.BACKLOG_SECONDS", 60)


@pytest.mark.usefixtures("slow_clock")
@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_pages_stay_small_and_ask_little(night: None, person: Person, warm: bool) -> None:
    client, known = person("lead"), places()
    too_many = {}
    for path in PAGES:
        client.get(path.format(**known))
        if not warm:
            cache.clear()
        with CaptureQueriesContext(connection) as queries:
            response = client.get(path.format(**known))
        ranking = RANKING if path.startswith("/incidents/{") else 0
        if len(queries) > (MOST_QUERIES if warm else MOST_WITHOUT_CACHE + ranking):
            too_many[path] = len(queries)
        assert len(response.content) < 100_000, path
    assert too_many == {}


@pytest.mark.usefixtures("slow_clock")
def test_the_number_of_queries_does_not_grow_with_the_rows(night: None, person: Person) -> None:
    client = person("lead")

    def count(path: str) -> int:
        client.get(path)
        with CaptureQueriesContext(connection) as queries:
            client.get(path)
        return len(queries)

    paths = ("/", "/outbox", "/dead-letters", "/replays")
    before = [count(path) for path in paths]
    service = Service.objects.get(pk="smtp")
    for number in range(40):
        message = Message.objects.create(service=service, status="DLQ", payload="{}")
        mark = f"{number:016x}"
        Cause.objects.create(fingerprint=mark, service="smtp", message=f"cause {number}")
        DeadLetter.objects.create(message=message, service="smtp", cause_id=mark, reason="permanent", error="no")
    assert [count(path) for path in paths] == before


def test_what_came_from_outside_is_escaped(night: None, person: Person) -> None:
    nasty = '<script>alert(1)</script><img src=x onerror="alert(2)">'
    known = places()
    Message.objects.update(
        last_error=nasty, tenant_id=nasty[:64], recipient=nasty, idempotency_key=nasty, subject=nasty
    )
    Message.objects.update(payload=nasty, request_id=nasty, source=nasty, claimed_by=nasty)
    DeadLetter.objects.update(error=nasty, note=nasty, tenant_id=nasty[:64], resolved_by=nasty)
    Cause.objects.update(message=nasty, error_class=nasty[:64])
    Service.objects.update(owner=nasty, paused_reason=nasty, paused_by=nasty)
    client = person("admin")
    for path in (*PAGES, *DIALOGS):
        page = client.get(path.format(**known)).content.decode()
        assert "<script>alert" not in page, path
        assert "<img src=x" not in page, path
        tags = Tags()
        tags.feed(page)
        assert not tags.bad, path


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/services/nope",
        "/outbox/999999999",
        "/outbox/99999999999999999999999",
        "/dead-letters/999999",
        "/replays/9999999",
    ],
)
def test_what_is_not_there_is_said_in_words(night: None, person: Person, path: str) -> None:
    response = person("viewer").get(path)
    assert response.status_code == 404
    assert b"<h1>" in response.content


@pytest.mark.parametrize(
    "path", ["/outbox?cursor=x", "/outbox?status=nonsense", "/replays/{replay}?state=nonsense", "/replays/new"]
)
def test_a_bad_address_is_explained(night: None, person: Person, path: str) -> None:
    response = person("lead").get(path.format(**places()))
    assert response.status_code == 422
    assert b"This cannot be done as it is" in response.content


def test_pages_of_an_empty_portal_say_what_would_be_there(person: Person) -> None:
    client = person("lead")
    for path in ("/", "/services", "/outbox", "/dead-letters", "/replays"):
        page = client.get(path).content.decode()
        assert 'class="empty' in page, path


def test_an_empty_portal_is_not_an_alarm(person: Person) -> None:
    page = person("viewer").get("/").content.decode()
    assert "All services answer" in page
    assert "Needs a person" not in page


def test_errors_do_not_tell_a_viewer_who_it_was(night: None, person: Person) -> None:
    said = "550 <sari.wulandari@example.com> is not here, nor is +628123456789"
    known = places()
    Message.objects.update(last_error=said)
    DeadLetter.objects.update(error=said)
    Attempt.objects.update(error=said, response=said)
    client = person("viewer")
    for path in PAGES:
        page = client.get(path.format(**known)).content.decode()
        assert "sari.wulandari" not in page, path
        assert "+628123456789" not in page, path
