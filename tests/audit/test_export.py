"""An export comes back as it went out, is no formula in a spreadsheet, and shows what was done to it."""

from __future__ import annotations

import csv
import io
import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.audit.export import export, verify_file
from apps.audit.models import AuditEntry
from apps.audit.selectors import AuditFilters
from tests.audit.trail import SOMEONE, note, notes

pytestmark = pytest.mark.django_db
NASTY = ("=1+1", "+1", "-1", "@x", "\tx", "'quoted", "a\r\nb", '"a","b"', "é😀", "")


def taken(kind: str) -> str:
    return "".join(export(filters=AuditFilters(), kind=kind, actor=SOMEONE))


def checked(text: str, kind: str) -> str:
    return verify_file(io.StringIO(text, newline=""), kind=kind).broken


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_whatever_was_written_is_read_back(kind: str) -> None:
    for text in NASTY:
        note(reason=text, before={text: text}, after=[text, None, 1.5], target=text[:5] or "x")
    found = verify_file(io.StringIO(taken(kind), newline=""), kind=kind)
    assert (found.broken, found.gaps, found.rows) == ("", 0, len(NASTY) + 1)


def test_no_cell_is_a_formula() -> None:
    for text in NASTY:
        note(reason=text, target=text or "x")
    cells = [cell for row in csv.reader(io.StringIO(taken("csv"), newline="")) for cell in row]
    assert "'=1+1" in cells
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda rows: [rows[0], {**rows[1], "reason": "forged"}, *rows[2:]], "content was changed"),
        (lambda rows: [rows[1], rows[0], *rows[2:]], "re-ordered"),
        (lambda rows: [rows[0], rows[0], *rows[1:]], "re-ordered or doubled"),
        (lambda rows: [rows[0], {"id": 1}, *rows[2:]], "cannot be read"),
    ],
)
def test_a_tampered_file_shows(harm: object, said: str) -> None:
    notes(4)
    rows = [json.loads(line) for line in taken("jsonl").splitlines()]
    text = "\n".join(json.dumps(row) for row in harm(rows))  # type: ignore[operator]
    assert said in checked(text, "jsonl")


def test_the_commands_write_and_check_a_file(tmp_path: Path) -> None:
    rows = notes(3)
    for kind in ("csv", "jsonl"):
        path, out = tmp_path / f"trail.{kind}", StringIO()
        call_command("audit", "export", "--format", kind, "--output", str(path))
        call_command("audit", "verify", "--file", str(path), "--complete", stdout=out)
        assert f"entries {rows[0].pk} to" in out.getvalue()
        path.write_text(path.read_text().replace("reason 1", "reason 9"))
        with pytest.raises(CommandError, match=f"entry {rows[1].pk}: its content was changed"):
            call_command("audit", "verify", "--file", str(path))
    assert AuditEntry.objects.filter(action="audit.exported").count() == 2


def test_rows_left_out_are_gaps_and_may_be_made_an_error(tmp_path: Path) -> None:
    notes(3)
    path, out = tmp_path / "part.jsonl", StringIO()
    lines = taken("jsonl").splitlines()
    path.write_text("\n".join([lines[0], lines[2]]))
    call_command("audit", "verify", "--file", str(path), stdout=out)
    assert "In 1 places" in out.getvalue()
    with pytest.raises(CommandError, match="not complete"):
        call_command("audit", "verify", "--file", str(path), "--complete")


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("audit", "verify", "--file", str(tmp_path / "none.csv"))
