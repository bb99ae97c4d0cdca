"""People's Markdown on paper, token by token, and the writer that knows the fonts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from django.conf import settings
from fpdf import FPDF
from fpdf.enums import WrapMode
from markdown_it.token import Token

from apps.postmortems.exporting import fonts
from apps.postmortems.markdown import link_is_safe, tokens

INK: Final = (28, 36, 48)
MUTED: Final = (91, 101, 115)
LINE: Final = (200, 205, 212)
SUNKEN: Final = (244, 245, 247)
LINK: Final = (36, 89, 201)
SIZE: Final = 10
HEIGHT: Final = 5.0
INDENT: Final = 6.0
SIZES: Final = (18, 14, 12, 11, 10, 10, 10)
DEEPEST: Final = 6
# More do not fit beside each other.
MOST_COLUMNS: Final = 8


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text in one style."""

    text: str
    bold: bool = False
    italic: bool = False
    struck: bool = False
    mono: bool = False
    link: str = ""

    @property
    def style(self) -> str:
        return ("B" if self.bold else "") + ("I" if self.italic else "")


class Writer:
    """``known`` says which characters the fonts have."""

    def __init__(self, sheet: FPDF, known: fonts.Known) -> None:
        self.sheet = sheet
        self._known = known

    def face(self, text: str, *, mono: bool) -> str:
        """The family for ``text``: code is set in mono where that has all of it."""
        return fonts.MONO if mono and all(ord(c) in self._known.mono or c == "\n" for c in text) else fonts.BODY

    def shown(self, text: str) -> str:
        """As it can be written; the shaper is only asked where a script needs it, it takes ten times as long."""
        found = fonts.led(fonts.shown(text, self._known.all), self._known)
        self.sheet.set_text_shaping(fonts.needs_shaping(found), direction="ltr")
        return found

    def room(self, height: float) -> None:
        """Begin a new page if less than ``height`` mm are left of this one."""
        if self.sheet.will_page_break(height):
            self.sheet.add_page()

    def heading(self, text: str, level: int) -> None:
        size = SIZES[min(level, len(SIZES) - 1)]
        self.room(20)
        self.sheet.ln(3 if level else 0)
        self.sheet.set_font(fonts.BODY, "B", size)
        self.sheet.set_text_color(*INK)
        self.lines(text, height=size * 0.5)
        self.sheet.ln(1.5)
        self.sheet.set_font(fonts.BODY, "", SIZE)

    def lines(self, text: str, *, width: float = 0, height: float = HEIGHT) -> None:
        """In the font that is set, from where the pen is to the right edge, or ``width`` mm wide."""
        self.sheet.multi_cell(width, height, self.shown(text), align="L", new_x="LMARGIN", new_y="NEXT")

    def paragraph(self, text: str) -> None:
        self.sheet.set_font(fonts.BODY, "", SIZE)
        self.sheet.set_text_color(*INK)
        self.lines(text)

    def small(self, text: str) -> None:
        self.sheet.set_font(fonts.BODY, "", 8)
        self.sheet.set_text_color(*MUTED)
        self.lines(text, height=4)
        self.sheet.ln(1.5)
        self.sheet.set_font(fonts.BODY, "", SIZE)
        self.sheet.set_text_color(*INK)

    def bullet(self, sign: str, text: str) -> None:
        self.sheet.set_font(fonts.BODY, "", SIZE)
        self.sheet.set_text_color(*INK)
        self.room(HEIGHT)
        self.sheet.cell(INDENT, HEIGHT, self.shown(sign))
        # A sign out of another font leaves that font set.
        self.sheet.set_font(fonts.BODY, "", SIZE)
        self.lines(text)


class Prose:
    """A section. What is no block that is known is left out; its text never is, because text is in blocks."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._sheet = writer.sheet
        self._margin = writer.sheet.l_margin
        self._depth = 0
        self._numbers: list[int] = []
        self._bold = False
        self._rows: list[list[str]] | None = None

    def write(self, text: str) -> None:
        for token in tokens(text):
            handle = getattr(self, f"_on_{token.type}", None)
            if handle is not None:
                handle(token)
        self._sheet.set_left_margin(self._margin)
        self._sheet.set_x(self._margin)
        self._sheet.ln(1)

    def _indent(self, depth: int) -> None:
        self._sheet.set_left_margin(self._margin + INDENT * min(depth, DEEPEST))
        self._sheet.set_x(self._sheet.l_margin)

    # --- lists, quotations, headings ------------------------------------------------------------
    def _on_bullet_list_open(self, token: Token) -> None:
        self._depth += 1
        self._numbers.append(-1)

    def _on_ordered_list_open(self, token: Token) -> None:
        self._depth += 1
        start = token.attrGet("start")
        self._numbers.append(1 if start is None else int(start))

    def _on_bullet_list_close(self, token: Token) -> None:
        self._depth -= 1
        self._numbers.pop()

    _on_ordered_list_close = _on_bullet_list_close

    def _on_list_item_open(self, token: Token) -> None:
        """The bullet or number of an item, left of its text."""
        self._indent(self._depth - 1)
        self._writer.room(HEIGHT)
        self._sheet.set_font(fonts.BODY, "", SIZE)
        self._sheet.set_text_color(*INK)
        number, top = self._numbers[-1], self._sheet.get_y()
        self._sheet.cell(INDENT, HEIGHT, f"{number}."[:6] if number >= 0 else "•")
        self._sheet.set_xy(self._sheet.l_margin, top)
        if number >= 0:
            self._numbers[-1] += 1

    def _on_blockquote_open(self, token: Token) -> None:
        self._depth += 1

    def _on_blockquote_close(self, token: Token) -> None:
        self._depth -= 1

    def _on_heading_open(self, token: Token) -> None:
        self._bold = True
        self._writer.room(14)

    def _on_heading_close(self, token: Token) -> None:
        self._bold = False

    def _on_hr(self, token: Token) -> None:
        self._sheet.set_draw_color(*LINE)
        top = self._sheet.get_y() + 1
        self._sheet.line(self._sheet.l_margin, top, self._sheet.l_margin + self._sheet.epw, top)
        self._sheet.ln(3)

    # --- text -----------------------------------------------------------------------------------
    def _on_inline(self, token: Token) -> None:
        runs = list(_runs(token.children or []))
        if self._rows is not None:
            self._rows[-1].append("".join(run.text for run in runs))
            return
        self._indent(self._depth)
        for run in runs:
            self._run(replace(run, bold=run.bold or self._bold))
        self._sheet.ln(HEIGHT + 1.5)

    def _run(self, run: Run) -> None:
        url, text = _address(run.link), self._writer.shown(run.text)
        family = self._writer.face(text, mono=run.mono)
        self._sheet.set_font(family, "" if family == fonts.MONO else run.style, SIZE)
        self._sheet.set_text_color(*(LINK if url else INK))
        self._sheet.strikethrough = run.struck
        self._sheet.write(HEIGHT, text, link=url)
        self._sheet.strikethrough = False

    def _on_fence(self, token: Token) -> None:
        self._indent(self._depth)
        shown = self._writer.shown(token.content.rstrip("\n")) or " "
        self._sheet.set_font(self._writer.face(shown, mono=True), "", 8)
        self._sheet.set_text_color(*INK)
        self._sheet.set_fill_color(*SUNKEN)
        self._sheet.multi_cell(0, 4, shown, align="L", fill=True, wrapmode=WrapMode.CHAR, new_x="LMARGIN", new_y="NEXT")
        self._sheet.ln(2)

    _on_code_block = _on_fence

    # --- tables ---------------------------------------------------------------------------------
    def _on_table_open(self, token: Token) -> None:
        self._rows = []

    def _on_tr_open(self, token: Token) -> None:
        if self._rows is not None:
            self._rows.append([])

    def _on_table_close(self, token: Token) -> None:
        rows, self._rows = self._rows or [], None
        self._indent(self._depth)
        self._sheet.set_font(fonts.BODY, "", 9)
        self._sheet.set_text_color(*INK)
        self._sheet.set_draw_color(*LINE)
        if len(rows[0]) > MOST_COLUMNS:
            for row in rows:
                self._writer.lines(" | ".join(row))
        else:
            self._table(rows)
        self._sheet.ln(2)

    def _table(self, rows: Sequence[Sequence[str]]) -> None:
        shaped = any(fonts.needs_shaping(cell) for row in rows for cell in row)
        shown = [[self._writer.shown(cell) for cell in row] for row in rows]
        self._sheet.set_text_shaping(shaped)
        with self._sheet.table(borders_layout="HORIZONTAL_LINES", line_height=HEIGHT, text_align="LEFT") as table:
            for cells in shown:
                row = table.row()
                for cell in cells:
                    row.cell(cell)


def _runs(children: Sequence[Token]) -> Iterator[Run]:
    """The text of a paragraph in its styles."""
    now = Run("")
    for token in children:
        if token.nesting:
            now = _restyled(now, token)
        elif token.type in _BREAKS:
            yield replace(now, text=_BREAKS[token.type])
        else:
            yield replace(now, text=token.content, mono=token.type == "code_inline")


_BREAKS: Final = {"softbreak": " ", "hardbreak": "\n"}


def _restyled(run: Run, token: Token) -> Run:
    on = token.nesting == 1
    match token.tag:
        case "strong":
            return replace(run, bold=on)
        case "em":
            return replace(run, italic=on)
        case "s":
            return replace(run, struck=on)
        case "a":
            return replace(run, link=str(token.attrGet("href") or "") if on else "")
    return run


def _address(link: str) -> str:
    """Whole, for a file that is read elsewhere; empty for what is no link."""
    if not link or not link_is_safe(link):
        return ""
    if link.startswith("/"):
        return f"{settings.PUBLIC_URL}{link}" if settings.PUBLIC_URL else ""
    return link
