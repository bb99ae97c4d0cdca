"""The catalogue is complete, compiled and up to date; and make messages does what it says."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import polib
import pytest

from scripts import messages

ROOT = messages.ROOT
needs_gettext = pytest.mark.skipif(not shutil.which("xgettext"), reason="GNU gettext is not installed")


def po_of(text: str) -> polib.POFile:
    return polib.pofile('msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n' + text)


def test_the_catalogue_is_complete() -> None:
    found = messages.problems(polib.pofile(str(messages.PO)))
    assert not found, "\n".join(found)


def test_the_mo_is_what_the_po_compiles_to() -> None:
    assert messages.PO.with_suffix(".mo").read_bytes() == messages.compiled(polib.pofile(str(messages.PO)))


@needs_gettext
def test_the_catalogue_is_up_to_date_with_the_source() -> None:
    found = messages.outdated(polib.pofile(str(messages.PO)), messages.extract())
    assert not found, "run make messages:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ('msgid "Go"\nmsgstr ""\n', "not translated"),
        ('#, fuzzy\nmsgid "Go"\nmsgstr "Pergi"\n', "fuzzy"),
        ('#~ msgid "Go"\n#~ msgstr "Pergi"\n', "obsolete"),
        ('msgid "{count} left"\nmsgstr "{jumlah} sisa"\n', "placeholders differ"),
        ('msgid "%(count)s left"\nmsgstr "sisa"\n', "placeholders differ"),
        ('msgid "{name!r} left"\nmsgstr "{name} sisa"\n', "placeholders differ"),
        ('msgid "Go "\nmsgstr "Pergi"\n', "spaces at the ends"),
        ('msgid "{n} letter"\nmsgid_plural "{n} letters"\nmsgstr[0] ""\n', "not translated"),
        ('msgid "one letter"\nmsgid_plural "{n} letters"\nmsgstr[0] "surat"\n', "placeholders differ"),
    ],
)
def test_what_is_wrong_with_an_entry_is_found(entry: str, problem: str) -> None:
    found = messages.problems(po_of(entry))
    assert len(found) == 1
    assert problem in found[0]


def test_what_is_right_is_left_alone() -> None:
    good = 'msgid "one letter of {n}"\nmsgid_plural "{n} letters"\nmsgstr[0] "{n} surat"\n'
    assert not messages.problems(po_of(good))


def test_merging_keeps_translations_drops_what_is_gone_and_guesses_nothing() -> None:
    old = po_of('msgid "Stays"\nmsgstr "Tetap"\n\nmsgid "Goes"\nmsgstr "Pergi"\n\nmsgid "Grows"\nmsgstr "Tumbuh"\n')
    source = 'msgid "Stays"\nmsgstr ""\n\nmsgid "Stays there"\nmsgstr ""\n\n'
    source += 'msgid "Grows"\nmsgid_plural "Grow"\nmsgstr[0] ""\nmsgstr[1] ""\n'
    merged = messages.merge(old, po_of(source))
    assert {entry.msgid: messages.texts(entry) for entry in merged} == {
        "Grows": [""],
        "Stays": ["Tetap"],
        "Stays there": [""],
    }
    assert messages.compiled(merged) == messages.compiled(messages.merge(merged, po_of(source)))


@needs_gettext
def test_texts_are_found_in_python_and_in_templates(tmp_path: Path) -> None:
    for folder in messages.SOURCES:
        (tmp_path / folder).mkdir()
    (tmp_path / "apps" / "code.py").write_text(
        "from django.utils.translation import gettext as _, ngettext, pgettext\n"
        '_("In {where}").format(where=1)\nngettext("{n} row", "{n} rows", 2)\npgettext("verb", "Open")\n_(not_a_text)\n'
    )
    (tmp_path / "templates" / "page.html").write_text(
        '{% load i18n %}{% translate "Title" %}'
        "{% blocktranslate trimmed with n=2 %}\n  Two {{ n }}\n{% endblocktranslate %}"
    )
    found = {(entry.msgctxt, entry.msgid) for entry in messages.extract(tmp_path)}
    assert found == {(None, "In {where}"), (None, "{n} row"), ("verb", "Open"), (None, "Title"), (None, "Two %(n)s")}


ERRORS = {"NotFound", "Conflict", "Invalid", "Forbidden", "Unavailable", "RateLimited", "TooLarge", "Unauthorized"}
# Only programs and the command line meet these, and they are spoken to in English.
FOR_PROGRAMS = re.compile(
    r"apps/\w+/api/|apps/\w+/management/|apps/accounts/(api_keys|durations|http|rate)\.py|apps/breakers/guard\.py|"
    r"apps/services/yamlfile\.py|apps/alerts/(receiver|parsing)\.py|apps/sandbox/|.*/migrations/"
)


def errors_in_plain_english(source: str) -> list[str]:
    """Texts of errors that are not marked: ``NotFound("…")``, ``Invalid.field("x", f"…")``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        on = getattr(getattr(node.func, "value", None), "id", "")
        text = node.args[1] if (on, name) == ("Invalid", "field") and len(node.args) > 1 else node.args[0]
        plain = isinstance(text, ast.JoinedStr) or (isinstance(text, ast.Constant) and isinstance(text.value, str))
        if plain and (name in ERRORS or (on, name) == ("Invalid", "field")):
            found.append(f"line {node.lineno}: {ast.unparse(text)}")
    return found


def test_errors_that_people_read_are_translatable() -> None:
    for path in sorted((ROOT / "apps").rglob("*.py")):
        if not FOR_PROGRAMS.match(path.relative_to(ROOT).as_posix()):
            found = errors_in_plain_english(path.read_text(encoding="utf-8"))
            assert not found, (path, found)
    assert errors_in_plain_english('raise NotFound(f"There is no {thing}.")')
    assert errors_in_plain_english('raise Invalid.field("name", "is required")')
    assert not errors_in_plain_english('raise Invalid.field("name", _("is required"))')


def test_scripts_hold_no_words_of_their_own() -> None:
    """What a script says comes from apps/console/words.py."""
    words = re.compile(r"""(["'`])(?!use strict)[A-Z][a-z]+(?: [A-Za-z]+)+[^"'`]*\1""")
    for path in sorted((ROOT / "static" / "js").glob("*.js")):
        code = "\n".join(line for line in path.read_text().splitlines() if not line.strip().startswith("//"))
        assert not words.search(code), (path.name, words.search(code))


def test_every_word_a_script_asks_for_is_there() -> None:
    from apps.console.words import WORDS

    for path in sorted((ROOT / "static" / "js").glob("*.js")):
        text = path.read_text()
        for name in re.findall(r'(?:portalWords|\bsay)\(\s*"(\w+)"', text):
            assert name in WORDS, (path.name, name)
