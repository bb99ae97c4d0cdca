"""Figures, spans and plurals as each language writes them."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import translation

from apps.core import human
from apps.core.nouns import NOUNS

ROOT = Path(__file__).resolve().parent.parent.parent
NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("english", "indonesian", "made"),
    [
        ("1,204", "1.204", lambda: human.number(1204)),
        ("1,234,567", "1.234.567", lambda: human.number(1_234_567)),
        ("-1,204", "-1.204", lambda: human.number(-1204)),
        ("0.35", "0,35", lambda: human.number(0.346, 2)),
        ("12.4 %", "12,4%", lambda: human.percent(0.124)),
        ("100 %", "100%", lambda: human.percent(1)),
        ("99.9 %", "99,9%", lambda: human.percent(0.99999)),
        ("1.2k", "1,2rb", lambda: human.compact(1234)),
        ("1.5M", "1,5jt", lambda: human.compact(1_500_000)),
        ("84 ms", "84 ms", lambda: human.milliseconds(84.4)),
        ("2.4 s", "2,4 dtk", lambda: human.milliseconds(2400)),
        ("6 min 12 s", "6 mnt 12 dtk", lambda: human.span(372)),
        ("3 d 3 h", "3 hr 3 jam", lambda: human.span(270_000)),
        ("0.3 s", "0,3 dtk", lambda: human.span(0.3)),
        ("40 s ago", "40 dtk lalu", lambda: human.ago(NOON - timedelta(seconds=40), NOON)),
        ("in 2 min", "dalam 2 mnt", lambda: human.ago(NOON + timedelta(minutes=2), NOON)),
        ("1 message", "1 pesan", lambda: human.plural(1, "message")),
        ("1,204 messages", "1.204 pesan", lambda: human.plural(1204, "message")),
        ("0 dead letters", "0 dead letter", lambda: human.plural(0, "dead letter")),
        ("a, b and c", "a, b dan c", lambda: human.listed(["a", "b", "c"])),
        ("12:05", "12:05", lambda: human.countdown(725)),
    ],
)
def test_figures(english: str, indonesian: str, made: object) -> None:
    assert callable(made)
    assert made() == english
    with translation.override("id"):
        assert made() == indonesian


def test_a_figure_is_rounded_not_cut_off() -> None:
    assert human.number(0.96, 1) == "1.0"
    assert human.number(1.5) == "2"
    assert human.number(999.96, 1) == "1,000.0"


def used_nouns() -> dict[str, str]:
    """Every noun given to |plural, ``words="…"`` of the pager, human.plural and counted; and where."""
    found: dict[str, str] = {}
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text()
        for noun in re.findall(r'\|plural:"([^"]+)"', text) + re.findall(r'(?<!-)\bwords="([^"]+)"', text):
            found[noun] = path.name
    for path in (ROOT / "apps").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
                "plural",
                "counted",
            ):
                found |= {
                    argument.value: path.name
                    for argument in node.args[1:2]
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                }
    return found


def test_every_noun_that_is_counted_is_in_the_table() -> None:
    used = used_nouns()
    assert "message" in used
    assert not {noun: where for noun, where in used.items() if noun not in NOUNS}


def test_nouns_are_counted_in_the_words_of_the_table() -> None:
    for noun, pattern in NOUNS.items():
        assert pattern(1) == f"{{count}} {noun}"
        assert pattern(2).startswith("{count} ")
        assert pattern(2) != pattern(1)
        with translation.override("id"):
            assert pattern(1) == pattern(2) != f"{{count}} {noun}s"
    assert human.plural(2, "unheard-of thing") == "2 unheard-of things"
