"""Whatever somebody does to the table behind the portal's back shows."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from apps.audit import anchors
from apps.audit.guard import missing_triggers
from apps.audit.models import AuditAnchor, AuditEntry
from apps.audit.retention import prune
from apps.audit.services import entry_hash
from apps.audit.verification import (
    BEGINNING,
    CHANGED,
    CHECKED_GONE,
    CHECKED_OTHER,
    UNLINKED,
    Link,
    verify_chain,
    verify_slice,
)
from apps.core import clock
from apps.core.actor import Actor
from apps.core.errors import Forbidden, Invalid
from tests.audit.trail import SOMEONE, forge, note, notes, take_guard_down

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET actor = 'somebody else'",
        "DELETE FROM audit_entry",
        "UPDATE audit_anchor SET hash = 'x'",
        "DELETE FROM audit_anchor",
    ],
)
def test_the_database_refuses_to_change_or_remove(statement: str) -> None:
    made = note()
    anchors.keep(made.pk, made.hash)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert AuditEntry.objects.get().actor == "ann@example.com"
    assert AuditAnchor.objects.get().hash == made.hash


def test_postgresql_refuses_to_truncate() -> None:
    note()
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no TRUNCATE")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE audit_entry")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "mallory@example.com"),
        ("actor_kind", "system"),
        ("ip", "10.9.9.9"),
        ("action", "service.created"),
        ("target", "service:other"),
        ("reason", "because"),
        ("before", '{"cap": 99}'),
        ("after", '{"cap": 99}'),
        ("request_id", "another"),
        ("at", "2001-01-01 00:00:00+00:00"),
    ],
)
def test_a_change_of_any_column_shows(column: str, value: str) -> None:
    rows = notes(3)
    forge(f"UPDATE audit_entry SET {column} = %s WHERE id = %s", value, rows[1].pk)
    found = verify_chain()
    assert (found.broken_at, found.problem, found.checked) == (rows[1].pk, CHANGED, 1)


def test_a_change_with_a_fitting_hash_shows_at_the_next_row() -> None:
    rows = notes(3)
    forged = AuditEntry.objects.get(pk=rows[1].pk)
    forged.reason = "forged"
    forge("UPDATE audit_entry SET reason = 'forged', hash = %s WHERE id = %s", entry_hash(forged), forged.pk)
    found = verify_chain()
    assert (found.broken_at, found.problem) == (rows[2].pk, UNLINKED)


def test_a_removed_row_shows() -> None:
    rows = notes(4)
    forge("DELETE FROM audit_entry WHERE id = %s", rows[2].pk)
    found = verify_chain()
    assert (found.broken_at, found.problem) == (rows[3].pk, UNLINKED)


def test_rows_removed_from_the_beginning_without_retention_show() -> None:
    rows = notes(4)
    forge("DELETE FROM audit_entry WHERE id <= %s", rows[1].pk)
    found = verify_chain()
    assert (found.broken_at, found.problem) == (rows[2].pk, BEGINNING)


def test_re_ordered_rows_show() -> None:
    rows = notes(4)
    second, third = rows[1].pk, rows[2].pk
    for old, new in ((second, -1), (third, second), (-1, third)):
        forge("UPDATE audit_entry SET id = %s WHERE id = %s", new, old)
    assert verify_chain().broken_at == second


def test_a_row_put_in_between_shows() -> None:
    rows = notes(2)
    forged = AuditEntry.objects.get(pk=rows[1].pk)
    forge("UPDATE audit_entry SET id = id + 10 WHERE id = %s", forged.pk)
    forged.previous_hash = rows[0].hash
    forged.reason = "never happened"
    forged.hash = entry_hash(forged)
    forged.save(force_insert=True)
    assert verify_chain().broken_at == rows[1].pk + 10


@pytest.mark.parametrize("kept_in", ["table", "file"])
def test_rows_cut_off_the_end_show_by_an_anchor(kept_in: str) -> None:
    rows = notes(4)
    anchors.keep(rows[3].pk, rows[3].hash)
    forge("DELETE FROM audit_entry WHERE id > %s", rows[1].pk)
    if kept_in == "file":
        forge("DELETE FROM audit_anchor")
    else:
        anchors.anchor_file().unlink()
    found = verify_chain()
    assert found.broken_at == rows[3].pk
    assert "cut off the end" in found.problem
    assert ("audit-anchors.log" if kept_in == "file" else "audit_anchor") in found.problem


def test_a_new_database_in_an_old_place_begins_anew() -> None:
    """Somebody deleted the SQLite file and left the anchors: those say nothing about the new one, and it is told."""
    rows = notes(4)
    anchors.keep(rows[3].pk, rows[3].hash)
    for table in ("audit_entry", "audit_anchor", "audit_chain"):
        forge(f"DELETE FROM {table}")
    note()
    assert verify_chain().broken_at is None
    other = anchors.of_others()
    assert other is not None
    assert other.entry_id == rows[3].pk
    newest = note()
    anchors.keep(newest.pk, newest.hash)
    forge("DELETE FROM audit_entry WHERE id = %s", newest.pk)
    forge("DELETE FROM audit_anchor")
    assert verify_chain().broken_at == newest.pk


def test_lines_of_an_older_release_count() -> None:
    rows = notes(2)
    anchors.anchor_file().write_text(f"2026-01-01T00:00:00Z {rows[1].pk} {rows[1].hash}\n")
    assert verify_chain().broken_at is None
    forge("DELETE FROM audit_entry WHERE id = %s", rows[1].pk)
    assert verify_chain().broken_at == rows[1].pk


def test_a_trail_emptied_whole_shows_by_an_anchor() -> None:
    rows = notes(2)
    anchors.keep(rows[1].pk, rows[1].hash)
    forge("DELETE FROM audit_entry")
    assert verify_chain().broken_at == rows[1].pk


def test_a_trail_written_anew_shows_by_an_anchor() -> None:
    """The whole chain computed again after a change fits in itself; what was seen of it before does not."""
    rows = notes(3)
    anchors.keep(rows[2].pk, rows[2].hash)
    previous = ""
    take_guard_down()
    for row in AuditEntry.objects.order_by("pk"):
        row.reason, row.previous_hash = "rewritten", previous
        row.hash = previous = entry_hash(row)
        row.save()
    found = verify_chain()
    assert found.broken_at == rows[2].pk
    assert "is not the row that" in found.problem


def test_what_was_never_anchored_can_be_cut_off_unseen() -> None:
    """The limit that docs/howto/audit.md tells of: only the log lines of those rows know."""
    rows = notes(3)
    anchors.keep(rows[0].pk, rows[0].hash)
    forge("DELETE FROM audit_entry WHERE id > %s", rows[0].pk)
    assert verify_chain().broken_at is None


def test_an_anchor_of_a_half_written_line_is_passed_over() -> None:
    row = note()
    anchors.keep(row.pk, row.hash)
    with anchors.anchor_file().open("a", encoding="ascii") as lines:
        lines.write("2026-01-01T00:00:00Z 99 abc\nnonsense\n\n")
    assert verify_chain().broken_at is None


def test_an_anchor_is_kept_once_and_a_folder_that_is_away_does_not_matter(settings: Any, tmp_path: Any) -> None:
    row = note()
    anchors.keep(row.pk, row.hash)
    anchors.keep(row.pk, row.hash)
    assert AuditAnchor.objects.count() == 1
    assert len(anchors.anchor_file().read_text().splitlines()) == 1
    settings.DATA_DIR = tmp_path / "away"
    other = note()
    anchors.keep(other.pk, other.hash)
    assert AuditAnchor.objects.count() == 2


def test_slices_go_on_where_the_one_before_ended() -> None:
    rows = notes(7)
    first = verify_slice(Link(), 3)
    assert (first.checked, first.upto.id, first.more) == (3, rows[2].pk, True)
    second = verify_slice(first.upto, 3)
    assert (second.checked, second.more) == (3, True)
    assert verify_slice(second.upto, 3).more is False


def test_what_was_checked_before_may_not_change_afterwards() -> None:
    rows = notes(3)
    link = Link(rows[1].pk, rows[1].hash)
    assert verify_slice(link).checked == 1
    assert verify_slice(Link(rows[1].pk, "0" * 64)).problem == CHECKED_OTHER
    forge("DELETE FROM audit_entry WHERE id = %s", rows[1].pk)
    assert verify_slice(link).problem == CHECKED_GONE


def write_long_ago(monkeypatch: pytest.MonkeyPatch, count: int, days: int) -> list[AuditEntry]:
    then = clock.now() - timedelta(days=days)
    with monkeypatch.context() as patch:
        patch.setattr(clock, "now", lambda: then)
        return notes(count)


def test_retention_removes_the_old_end_and_the_chain_still_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    old = write_long_ago(monkeypatch, 3, days=400)
    anchors.keep(old[1].pk, old[1].hash)
    new = notes(2)
    assert prune(before=clock.now() - timedelta(days=365), actor=SOMEONE, reason="a year is the rule") == 3
    kept = list(AuditEntry.objects.order_by("pk"))
    assert [row.pk for row in kept[:2]] == [row.pk for row in new]
    assert (kept[2].action, kept[2].after["through_id"], kept[2].after["rows"]) == ("audit.pruned", old[2].pk, 3)
    found = verify_chain()
    assert (found.broken_at, found.checked) == (None, 3)
    assert verify_slice(Link(old[1].pk, old[1].hash)).broken_at is None
    assert missing_triggers() == []
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.all().delete()


def test_more_than_retention_removed_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    write_long_ago(monkeypatch, 2, days=400)
    new = notes(2)
    prune(before=clock.now() - timedelta(days=365), actor=SOMEONE, reason="a year is the rule")
    forge("DELETE FROM audit_entry WHERE id = %s", new[0].pk)
    assert (verify_chain().broken_at, verify_chain().problem) == (new[1].pk, BEGINNING)


def test_retention_leaves_the_newest_row_and_twice_removes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    old = write_long_ago(monkeypatch, 3, days=400)
    before = clock.now() - timedelta(days=365)
    assert prune(before=before, actor=SOMEONE, reason="rule") == 2
    assert AuditEntry.objects.filter(pk=old[2].pk).exists()
    assert prune(before=before, actor=SOMEONE, reason="rule") == 1
    assert prune(before=before, actor=SOMEONE, reason="rule") == 0
    assert verify_chain().broken_at is None


def test_retention_has_limits() -> None:
    with pytest.raises(Invalid, match="30 days"):
        prune(before=clock.now() - timedelta(days=1), actor=SOMEONE, reason="x")
    with pytest.raises(Invalid, match="reason"):
        prune(before=clock.now() - timedelta(days=100), actor=SOMEONE, reason=" ")
    with pytest.raises(Forbidden):
        prune(before=clock.now() - timedelta(days=100), actor=Actor("person", "x"), reason="x")


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("audit", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_says_what_fits_and_where_it_ends() -> None:
    rows = notes(2)
    said = run("verify")
    assert "2 entries, all as they were written." in said
    assert rows[1].hash in said
    facts = json.loads(run("verify", "--json"))
    assert (facts["broken_at"], facts["last_id"], facts["missing_guards"]) == (None, rows[1].pk, [])


def test_the_command_fails_with_status_1_on_a_broken_chain() -> None:
    rows = notes(2)
    forge("UPDATE audit_entry SET reason = 'x' WHERE id = %s", rows[0].pk)
    with pytest.raises(CommandError, match=f"broken at entry {rows[0].pk}: its content was changed") as failure:
        run("verify")
    assert failure.value.returncode == 1
    with pytest.raises(CommandError):
        run("verify", "--json")


def test_the_command_fails_when_the_guard_is_down() -> None:
    note()
    take_guard_down()
    with pytest.raises(CommandError, match="does not guard them: audit_entry_no_update"):
        run("verify")


def test_the_command_prunes(monkeypatch: pytest.MonkeyPatch) -> None:
    write_long_ago(monkeypatch, 2, days=400)
    note()
    assert "2 entries removed" in run("prune", "--older-than-days", "365", "--reason", "rule")
    assert "Nothing is that old" in run("prune", "--older-than-days", "365", "--reason", "rule")
