"""docs/design/edge-cases.md names tests; each of them must exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_the_design_pages_name_exists() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    written = set(re.findall(r"^(?:async )?def (test_\w+)", source, re.MULTILINE))
    written |= set(re.findall(r"^    (?:async )?def (test_\w+)", source, re.MULTILINE))
    for page in (ROOT / "docs" / "design").glob("*.md"):
        named = set(re.findall(r"`(test_\w+)`", page.read_text()))
        files = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
        assert named - written - files == set(), page.name


def test_all_54_cases_are_there() -> None:
    page = (ROOT / "docs" / "design" / "edge-cases.md").read_text()
    numbers = {int(number) for number in re.findall(r"^\| (\d+) ", page, re.MULTILINE)}
    assert numbers | set(range(21, 32)) | set(range(51, 55)) == set(range(1, 55))


def test_all_54_cases_of_alerts_are_there_and_each_says_what_holds_it() -> None:
    page = (ROOT / "docs" / "design" / "alert-edge-cases.md").read_text()
    rows = re.findall(r"^\| (\d+) [^|]*\| ([^|]+) \|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 55))
    assert [number for number, held in rows if "`test_" not in held and "cannot" not in held] == []
