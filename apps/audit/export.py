"""The trail as a file: CSV or JSON Lines, written row by row, with the hashes so that others can check it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

from apps.audit.canonical import canonical_json
from apps.audit.models import AuditEntry
from apps.audit.selectors import COLUMNS, AuditFilters, as_row, entries_for_export
from apps.audit.services import content_hash, record
from apps.core.actor import AUDIT_READ, Actor, require
from apps.core.errors import Invalid

CONTENT_TYPES: Final = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}
# A spreadsheet takes a cell that begins so for a formula. The quotation mark itself is doubled, to be told apart.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
BIGGEST_CELL: Final = 64 * 1024 * 1024


def export(*, filters: AuditFilters, kind: str, actor: Actor) -> Iterator[str]:
    """Lines of the rows that ``filters`` choose, oldest first. That it was taken is in the trail.

    Raises :class:`Invalid` for a kind other than csv or jsonl, at once and not at the first line.
    """
    require(actor, AUDIT_READ)
    if kind not in CONTENT_TYPES:
        raise Invalid.field("format", _("choose csv or jsonl"))
    record(actor=actor, action="audit.exported", target="audit trail", after={"format": kind, **filters.as_dict()})
    rows = entries_for_export(filters)
    return _csv(rows) if kind == "csv" else _json_lines(rows)


def _json_lines(rows: Iterable[AuditEntry]) -> Iterator[str]:
    for entry in rows:
        yield json.dumps(as_row(entry), ensure_ascii=False, separators=(",", ":")) + "\n"


def _csv(rows: Iterable[AuditEntry]) -> Iterator[str]:
    yield ",".join(COLUMNS) + "\r\n"
    for entry in rows:
        line = io.StringIO()
        csv.writer(line).writerow([_cell(name, value) for name, value in as_row(entry).items()])
        yield line.getvalue()


def _cell(name: str, value: Any) -> str:
    if name in ("before", "after"):
        value = "" if value is None else canonical_json(value)
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


@dataclass(frozen=True, slots=True)
class FileCheck:
    """``gaps`` counts places where rows between are not in the file; ``broken`` is what does not fit, if anything."""

    rows: int = 0
    gaps: int = 0
    first: int = 0
    last: int = 0
    last_hash: str = ""
    broken: str = ""


def verify_file(lines: Iterable[str], *, kind: str) -> FileCheck:
    """Check an export without a database: each row against its hash, and against the row before it."""
    rows = _read_csv(lines) if kind == "csv" else _read_json_lines(lines)
    found = FileCheck()
    try:
        for row in rows:
            found = _check_row(found, row)
            if found.broken:
                break
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        return FileCheck(found.rows, broken=f"row {found.rows + 1} of the file cannot be read: {error}")
    return found


def _check_row(seen: FileCheck, row: dict[str, Any]) -> FileCheck:
    number, problem = int(row["id"]), ""
    linked = row["previous_hash"] == seen.last_hash
    if content_hash(row) != row["hash"]:
        problem = f"entry {number}: its content was changed after it was written"
    elif number <= seen.last:
        problem = f"entry {number} stands behind entry {seen.last}: rows were re-ordered or doubled"
    elif number == seen.last + 1 and not linked and seen.rows:
        problem = f"entry {number} does not follow entry {seen.last}: a row was removed or exchanged"
    gap = bool(seen.rows) and not linked and not problem
    return FileCheck(seen.rows + 1, seen.gaps + gap, seen.first or number, number, row["hash"], problem)


def _read_json_lines(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.strip():
            yield json.loads(line)


def _read_csv(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(BIGGEST_CELL)
    for cells in csv.DictReader(lines):
        row: dict[str, Any] = {name: _uncell(cells[name]) for name in COLUMNS}
        for name in ("before", "after"):
            row[name] = json.loads(row[name]) if row[name] else None
        yield row


def _uncell(text: str) -> str:
    return text[1:] if text.startswith("'") else text
