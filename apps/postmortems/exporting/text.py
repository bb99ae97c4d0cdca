"""A post-mortem as Markdown: people's text as they wrote it, everything else as text that means nothing but itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from markdown_it.token import Token

from apps.core import human
from apps.postmortems.charts import Chart
from apps.postmortems.exporting.document import Document, Entry, Figure, Item
from apps.postmortems.markdown import LONGEST, tokens, unified, visible

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>#!|~&{}$])")
# What a line may begin with that makes it a list, a heading or a rule.
_FIRST: Final = re.compile(r"^(\s*)([-+=]|\d+(?=[.)]))")
# A tag, a comment, a declaration; not a link in angle brackets.
_MARKUP: Final = re.compile(r"<(?!https?://|mailto:)(?=[A-Za-z/!?])", re.IGNORECASE)
# A character by its name or number, which could spell what is looked for below.
_REFERENCE: Final = re.compile(r"&(?=#|[A-Za-z])")
# Where the address of a link begins, with a scheme that is none of those taken.
_LINK: Final = re.compile(r"(\]\(\s*<?|\]:\s*<?)((?!https?\b|mailto\b)[A-Za-z][A-Za-z0-9+.-]*)\\?:", re.IGNORECASE)


def markdown_of(document: Document) -> str:
    """Headings of people's text go down by two, below those of the document."""
    return "\n\n".join(block for block in _blocks(document) if block) + "\n"


def plain(text: str) -> str:
    """One line of text from anywhere, so that it is read as it is."""
    line = _SPECIAL.sub(r"\\\1", " ".join(visible(text).split()))
    return _FIRST.sub(r"\1\\\2", line) if not line[:1].isdigit() else re.sub(r"^(\d+)([.)])", r"\1\\\2", line)


def _blocks(document: Document) -> Iterator[str]:
    yield f"# {document.name} {plain(document.title)}"
    yield _table((_("What"), _("Value")), document.facts)
    for part in document.parts:
        yield f"## {part.label}\n\n{tamed(part.text)}"
        if part.key == "impact":
            yield from _figures(document.figures)
    if not any(part.key == "impact" for part in document.parts):
        yield from _figures(document.figures)
    yield from _charts(document.charts)
    yield from _items(document.items)
    yield from _suspects(document.suspects)
    yield from _timeline(document.timeline, document.more_lines)


def tamed(text: str) -> str:
    """People's Markdown as they wrote it, but headings go below those of the document, markup that a laxer reader would
    take for HTML is text, and links that are refused here are none elsewhere.
    """
    if len(text) > LONGEST:
        return "\n".join(f"    {line}" for line in visible(text).splitlines())
    parsed, lines = tokens(text), unified(text).split("\n")
    code = {number for token in parsed if token.type in ("fence", "code_block") for number in _of(token)}
    for token in parsed:
        if token.type == "heading_open" and token.level == 0:
            _lower(lines, token)
    prose = [line if number in code else _harmless(line) for number, line in enumerate(lines)]
    return _LINK.sub(r"\1\2%3A", "\n".join(prose)) + _closing(parsed, lines)


def _of(token: Token) -> range:
    return range(*(token.map or (0, 0)))


def _lower(lines: list[str], token: Token) -> None:
    """``# x`` becomes ``### x``; so does x with a line of = or - under it."""
    numbers = _of(token)
    level = "#" * min(6, int(token.tag[1]) + 2)
    if token.markup.startswith("#"):
        lines[numbers[0]] = lines[numbers[0]].replace(token.markup, level, 1)
        return
    words = " ".join(lines[number].strip() for number in numbers[:-1])
    lines[numbers[0]] = f"{level} {words}"
    for number in numbers[1:]:
        lines[number] = ""


def _harmless(line: str) -> str:
    return _REFERENCE.sub(r"\\&", _MARKUP.sub(r"\\<", line))


def _closing(parsed: Sequence[Token], lines: Sequence[str]) -> str:
    """A block of code that nobody closed would take in the rest of the document."""
    last = parsed[-1] if parsed else None
    if last is None or last.type != "fence" or last.level:
        return ""
    closed = len(_of(last)) > 1 and lines[_of(last)[-1]].strip() == last.markup
    return "" if closed else f"\n{last.markup}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    body = [line([plain(cell) for cell in row]) for row in rows]
    return "\n".join([line([plain(cell) for cell in head]), line(["---"] * len(head)), *body])


def _figures(figures: Sequence[Figure]) -> Iterator[str]:
    if not figures:
        return
    yield f"## {_('Figures')}"
    head = (_("Figure"), _("Value"), _("Of which"), _("How it is counted"), _("Asked at"))
    yield _table(head, [(f.label, f.value, _parts(f.parts), f.formula, f.at) for f in figures])


def _parts(parts: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parts)


def _charts(charts: Sequence[Chart]) -> Iterator[str]:
    if not charts:
        return
    yield f"## {_('How it went')}"
    for chart in charts:
        yield f"### {plain(chart.title)} ({plain(chart.unit)})\n\n{plain(chart.label)}"
        head = [_("Time"), *chart.columns, *([_("Breaker")] if chart.has_state else [])]
        rows = []
        for row in chart.rows:
            state = [row.state] if chart.has_state else []
            rows.append([chart.stretch(row), *map(human.number, row.counts), *state])
        yield _table(head, rows)


def _items(items: Sequence[Item]) -> Iterator[str]:
    yield f"## {_('Action items')}"
    if not items:
        yield _("None.")
        return
    yield "\n".join(
        f"- [{'x' if item.done else ' '}] {plain(item.text)} ({plain(item.owner)}, {item.due}, {plain(item.state)})"
        + (f": {plain(item.reason)}" if item.reason else "")
        for item in items
    )


def _suspects(suspects: Sequence[tuple[str, str]]) -> Iterator[str]:
    if suspects:
        yield f"## {_('What had changed before')}"
        yield "\n".join(f"{number}. {plain(title)}: {plain(why)}" for number, (title, why) in enumerate(suspects, 1))


def _timeline(entries: Sequence[Entry], more: int) -> Iterator[str]:
    if not entries:
        return
    yield f"## {_('Timeline')}"
    rows = [(entry.at, entry_words(entry), entry.actor) for entry in entries]
    yield _table((_("Time"), _("What"), _("Who")), rows)
    if more:
        yield more_words(more)


def entry_words(entry: Entry) -> str:
    return f"{entry.title}: {entry.text}" if entry.text else entry.title


def more_words(more: int) -> str:
    text = ngettext("{n} more line is in the portal.", "{n} more lines are in the portal.", more)
    return text.format(n=human.number(more))
