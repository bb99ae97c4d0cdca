"""The pages of the trail: found by any filter, read in words, exported, and never green without a check."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from apps.accounts.models import User
from apps.audit import checks
from apps.audit.export import verify_file
from apps.audit.models import AuditCheck, AuditEntry
from apps.core import clock
from apps.core.actor import Actor
from tests.audit.trail import forge, note, notes

pytestmark = pytest.mark.django_db
Person = Callable[[str], Client]


@pytest.fixture(autouse=True)
def _anchors_of_this_test_only(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


def read(client: Client, path: str = "/audit") -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def reasons(page: str) -> set[str]:
    return {f"reason-{name}" for name in "abcdef" if f"reason-{name}<" in page}


@pytest.fixture
def six() -> list[AuditEntry]:
    ann = Actor("person", "ann@example.com", frozenset(), "10.0.0.1")
    key = Actor("apikey", "shop", frozenset(), "10.0.0.2")
    shell = Actor("cli", "root")
    return [
        note(actor=ann, action="service.paused", target="service:midtrans", reason="reason-a"),
        note(actor=ann, action="message.revealed", target="message 12", reason="reason-b"),
        note(actor=key, action="replay.started", target="replay 3", reason="reason-c"),
        note(actor=key, action="service.paused", target="service:smtp", reason="reason-d"),
        note(actor=shell, action="person.changed", target="person:bob@example.com", reason="reason-e"),
        note(actor=shell, action="deadletter.discarded", target="40 dead letters", reason="reason-f"),
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "abcdef"),
        ("actor=ann@example.com", "ab"),
        ("actor=ANN@example.com", "ab"),
        ("kind=cli", "ef"),
        ("action=service.paused", "ad"),
        ("action=service.paused&actor=shop", "d"),
        ("target=service:midtrans", "a"),
        ("target=midtrans", "a"),
        ("target=12", "b"),
        ("target=bob@example.com", "e"),
        ("ip=10.0.0.2", "cd"),
        ("q=SON-C", "c"),
        ("since=2000-01-01T00:00", "abcdef"),
        ("until=2000-01-01T00:00", ""),
        ("since=2999-01-01T00:00", ""),
        ("action=gone.long_ago", ""),
    ],
)
def test_every_filter_finds_what_it_says(person: Person, six: list[AuditEntry], query: str, found: str) -> None:
    assert reasons(read(person("operator"), f"/audit?{query}")) == {f"reason-{name}" for name in found}


def test_a_time_range_finds_rows_of_that_time(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    start = clock.now() - timedelta(days=2)
    for hours, name in enumerate("abcdef"):
        then = start + timedelta(hours=hours)
        monkeypatch.setattr(clock, "now", lambda then=then: then)
        note(reason=f"reason-{name}")
    monkeypatch.undo()
    since, until = start + timedelta(hours=1, minutes=-1), start + timedelta(hours=3, minutes=-1)
    client = person("operator")
    page = read(client, f"/audit?since={since:%Y-%m-%dT%H:%M}&until={until:%Y-%m-%dT%H:%M}")
    assert reasons(page) == {"reason-b", "reason-c"}


def test_a_request_leads_to_all_it_did(person: Person) -> None:
    client = person("lead")
    note(reason="reason-a")
    client.post("/audit/verify", headers={"X-Request-ID": "req-77"})
    assert "Asked for a check" in read(client, "/audit?request_id=req-77").partition("<tbody>")[2]
    assert not reasons(read(client, "/audit?request_id=req-77"))


def test_a_time_that_cannot_be_read_is_said_so(person: Person) -> None:
    client = person("operator")
    assert client.get("/audit?since=yesterday-ish").status_code == 422
    assert client.get("/audit?target=%00").status_code == 422


def test_a_row_says_what_in_words_with_what_changed_and_a_link(person: Person) -> None:
    note(before={"retry": {"cap": 60, "base": 1}}, after={"retry": {"cap": 90, "base": 1}}, reason="slow provider")
    page = read(person("operator"))
    assert "Changed a service" in page
    assert "retry.cap" in page
    assert "retry.base" not in page
    assert 'href="/services/midtrans"' in page
    assert "slow provider" in page


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("message 7", "/outbox/7"),
        ("dead letter 8", "/dead-letters/8"),
        ("40 dead letters", "/dead-letters/letters"),
        ("replay 9", "/replays/9"),
        ("triage 10", "/dead-letters/triage/10"),
        ("template order-paid", "/templates/order-paid"),
        ("service:midtrans", "/services/midtrans"),
        ("apikey:shop & co", "/settings/keys?q=shop+%26+co"),
        ("outbox", "/outbox"),
    ],
)
def test_targets_lead_to_their_pages(person: Person, target: str, url: str) -> None:
    note(target=target)
    assert f'href="{escape(url)}"' in read(person("admin")).partition("<tbody>")[2]


def test_a_person_is_linked_for_those_who_may_see_people(person: Person) -> None:
    client = person("admin")
    someone = User.objects.get(role="admin")
    made = note(target=f"person:{someone.email}")
    link = f'href="/settings/people/{someone.pk}"'
    assert link in read(client)
    assert link in read(client, f"/audit/{made.pk}")
    assert link not in read(person("operator"))
    assert "/settings/keys?" not in read(person("operator"))


def test_a_target_without_a_page_is_no_link(person: Person) -> None:
    note(target="service:no such slug/../")
    note(target="person:nobody@example.com")
    note(target="encryption keys")
    rows = read(person("admin")).partition("<tbody>")[2]
    assert "encryption keys" in rows
    assert "/settings/people/" not in rows
    assert 'class="whom" title="encryption keys" href' not in rows


def test_pages_go_on_where_the_one_before_ended(person: Person) -> None:
    rows = notes(60)
    client = person("operator")
    first = read(client)
    assert f'href="/audit/{rows[10].pk}"' in first
    assert f'href="/audit/{rows[9].pk}"' not in first
    assert f'href="/audit/{rows[9].pk}"' in read(client, f"/audit?cursor={rows[10].pk}")


def test_rows_that_arrive_wait_behind_a_number(person: Person) -> None:
    rows = notes(2)
    client = person("operator")
    read(client)
    note(reason="reason-a")
    live = client.get("/audit", headers={"X-Live": "1", "X-Live-Anchor": str(rows[1].pk)}).content.decode()
    assert "1 new" in live
    assert "reason-a" not in live


def test_an_entry_shows_hashes_neighbours_and_whether_it_fits(person: Person) -> None:
    rows = notes(3)
    client = person("operator")
    page = read(client, f"/audit/{rows[1].pk}")
    assert rows[1].hash in page
    assert rows[0].hash in page
    assert f'href="/audit/{rows[0].pk}"' in page
    assert f'href="/audit/{rows[2].pk}"' in page
    assert "Broken" not in page
    forge("UPDATE audit_entry SET reason = 'forged' WHERE id = %s", rows[1].pk)
    assert "Its content was changed after it was written." in read(client, f"/audit/{rows[1].pk}")
    assert client.get("/audit/999999").status_code == 404
    assert client.get(f"/audit/{10**25}").status_code == 404


def test_the_chain_is_not_green_before_a_check_has_run(person: Person) -> None:
    note()
    page = read(person("operator"))
    assert "Never verified" in page
    assert "Every entry is as it was written" not in page


def test_verify_now_is_work_for_a_worker_and_its_result_is_shown(person: Person) -> None:
    notes(3)
    client = person("operator")
    assert client.post("/audit/verify").status_code == 302
    assert AuditCheck.objects.get().state == "waiting"
    assert "A check is under way" in read(client)
    assert "A check is under way already" in client.post("/audit/verify", follow=True).content.decode()
    assert AuditCheck.objects.count() == 1
    checks.look()
    page = read(client)
    assert "Every entry is as it was written" in page
    assert "4 entries" in page


def test_a_broken_chain_is_said_with_the_entry(person: Person) -> None:
    rows = notes(3)
    forge("DELETE FROM audit_entry WHERE id = %s", rows[1].pk)
    checks.look()
    page = read(person("operator"))
    assert f"Entry {rows[2].pk} does not fit." in page
    assert "Every entry is as it was written" not in page


def test_a_check_of_long_ago_is_not_green(person: Person) -> None:
    note()
    checks.look()
    AuditCheck.objects.update(seen_at=clock.now() - timedelta(minutes=11))
    page = read(person("operator"))
    assert "Not verified lately" in page
    assert "Every entry is as it was written" not in page


def test_exports_take_the_filter_and_are_in_the_trail(person: Person, six: list[AuditEntry]) -> None:
    client = person("operator")
    answer = client.post("/audit/export?action=service.paused", {"format": "csv"})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert ".csv" in answer.headers["Content-Disposition"]
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["reason"] for row in rows] == ["reason-a", "reason-d"]
    assert [row["hash"] for row in rows] == [six[0].hash, six[3].hash]
    taken = AuditEntry.objects.get(action="audit.exported")
    assert taken.after == {"format": "csv", "action": "service.paused"}
    assert taken.actor == "operator@example.com"


def test_an_exported_file_can_be_checked_elsewhere(person: Person, six: list[AuditEntry]) -> None:
    answer = person("operator").post("/audit/export", {"format": "jsonl"})
    lines = b"".join(answer.streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 7
    assert json.loads(lines[0])["previous_hash"] == ""
    found = verify_file(lines, kind="jsonl")
    assert (found.rows, found.gaps, found.broken) == (7, 0, "")


def test_an_unknown_format_is_refused(person: Person) -> None:
    assert person("operator").post("/audit/export", {"format": "exe"}).status_code == 422
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("path", ["/audit", "/audit/1"])
def test_a_viewer_may_not_look(person: Person, path: str) -> None:
    note()
    client = person("viewer")
    assert client.get(path).status_code == 403
    assert client.post("/audit/export").status_code == 403
    assert client.post("/audit/verify").status_code == 403
    assert 'href="/audit"' not in client.get("/").content.decode()
    assert 'href="/audit"' in person("operator").get("/").content.decode()


def test_what_came_from_outside_is_escaped(person: Person) -> None:
    nasty = "<script>alert(1)</script>\"'>"
    made = note(reason=nasty, before={nasty: nasty}, after={nasty: [nasty]}, target=nasty, action=nasty[:60])
    client = person("admin")
    for path in ("/audit", f"/audit/{made.pk}", f"/audit?q={quote(nasty)}", f"/audit?action={quote(nasty)}"):
        assert "<script>alert" not in read(client, path), path


def test_pages_ask_little(person: Person) -> None:
    rows = notes(60)
    client = person("lead")
    every = "&actor=x&action=y&target=z&ip=1&request_id=2&q=3&since=2026-01-01T00:00&until=2026-01-02T00:00"
    for path in ("/audit", "/audit?q=reason", f"/audit?{every}", f"/audit/{rows[3].pk}"):
        client.get(path)
        with CaptureQueriesContext(connection) as queries:
            client.get(path)
        assert len(queries) <= 15, (path, [query["sql"][:90] for query in queries])
