"""The house rules of CONTRIBUTING.md that a program can hold."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 60
# Arguments of tags, {% querystring only=None %}, are no attributes of elements.
TEMPLATE_TAG = re.compile(r"{%.*?%}")
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")


@cache
def tracked(*suffixes: str) -> tuple[Path, ...]:
    """Files of the repository, as git knows them; a copy without git is walked."""
    listed = "git ls-files 2>/dev/null"
    names = subprocess.run(["sh", "-c", listed], cwd=ROOT, capture_output=True, text=True).stdout.splitlines() or walk()
    return tuple(ROOT / n for n in names if n.endswith(suffixes) and (ROOT / n).is_file())


def walk() -> list[str]:
    places = ("apps", "opsportal", "scripts", "tests", "bench", "templates", "static", "docs")
    return [str(p.relative_to(ROOT)) for place in places for p in (ROOT / place).rglob("*") if p.is_file()]


def sources() -> list[Path]:
    return [p for p in tracked(".py") if "migrations" not in p.parts]


def test_there_is_something_to_check() -> None:
    assert len(sources()) > 50


def test_files_stay_short() -> None:
    long = {p: n for p in sources() if (n := len(p.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES}
    assert not long, f"more than {MAX_FILE_LINES} lines: {long}"


def test_functions_stay_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in sources()
        if path.parts[len(ROOT.parts)] in ("apps", "opsportal", "scripts")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert not long, f"more than {MAX_FUNCTION_LINES} lines: {long}"


def test_nothing_is_left_unfinished() -> None:
    found = [p for p in tracked(".py", ".html", ".css", ".js", ".md", ".yaml", ".toml") if UNFINISHED.search(read(p))]
    assert not found


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize(
    "pattern", [r"\sstyle=", r"<script(?![^>]*\bsrc=)[^>]*>", r"\son[a-z]+=", r"https?://[^\"]*cdn"]
)
def test_templates_have_no_inline_style_or_script_and_no_cdn(pattern: str) -> None:
    # JSON data blocks are data, and the content security policy treats them so.
    found = [
        str(path.relative_to(ROOT))
        for path in tracked(".html")
        for match in re.finditer(pattern, TEMPLATE_TAG.sub(" ", read(path)))
        if "application/json" not in match.group(0)
    ]
    assert not found, f"{pattern} in {found}"


def test_messages_of_exceptions_swallowed_by_pass() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and len(node.body) == 1
        and isinstance(node.body[0], ast.Pass)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
    ]
    assert not found, f"an exception is swallowed: {found}"


def test_no_secret_is_committed() -> None:
    pattern = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bghp_[A-Za-z0-9]{36}\b")
    found = [p for p in tracked(".py", ".md", ".yaml", ".yml", ".env", ".toml", ".txt") if pattern.search(read(p))]
    assert not found
