"""A post-mortem as PDF. Made with fpdf2: wheels only, nothing of the system; no script, no form, no file in it.

A link is made for http, https and mailto, and for pages of the portal where PUBLIC_URL says where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from django.utils import translation
from django.utils.translation import gettext as _
from fpdf import FPDF

from apps.core import human
from apps.postmortems.charts import Chart
from apps.postmortems.exporting import fonts
from apps.postmortems.exporting.document import Document, Entry, Figure, Item
from apps.postmortems.exporting.prose import INK, LINE, MUTED, Prose, Writer
from apps.postmortems.exporting.text import more_words

# A longer timeline makes a file that nobody prints; the rest is in the portal.
MOST_LINES: Final = 300
TIME_WIDTH: Final = 60.0
GOOD: Final = (47, 158, 95)
WARNING: Final = (185, 122, 0)
BAD: Final = (201, 42, 42)
UNKNOWN: Final = (122, 106, 168)
ACCENT: Final = (36, 89, 201)
TONES: Final = {"good": GOOD, "warning": WARNING, "bad": BAD, "unknown": UNKNOWN}
PLOT_HEIGHT: Final = 32.0


class Sheet(FPDF):
    """A4 with the name of the post-mortem and the page at the foot."""

    foot = ""

    def footer(self) -> None:
        self.set_y(-12)
        self.set_font(fonts.BODY, "", 8)
        self.set_text_color(*MUTED)
        self.cell(0, 5, self.foot)
        self.cell(0, 5, str(self.page_no()), align="R")


def pdf_of(document: Document) -> bytes:
    with TemporaryDirectory(prefix="opsportal-fonts-") as folder:
        sheet = Sheet(format="A4")
        # Braces in people's text are text.
        sheet.str_alias_nb_pages = ""
        writer = Writer(sheet, fonts.load(sheet, Path(folder)))
        sheet.foot = writer.shown(document.name)
        sheet.set_title(writer.shown(f"{document.name} {document.title}"))
        sheet.set_lang(translation.get_language() or "en")
        sheet.set_margins(18, 16)
        sheet.set_auto_page_break(True, margin=18)
        sheet.add_page()
        _write(writer, document)
        return bytes(sheet.output())


def _write(writer: Writer, document: Document) -> None:
    writer.heading(f"{document.name} {document.title}", 0)
    for name, value in document.facts:
        _pair(writer, name, value, 36)
    for part in document.parts:
        writer.heading(part.label, 1)
        Prose(writer).write(part.text)
    _figures(writer, document.figures)
    _charts(writer, document.charts)
    _items(writer, document.items)
    _suspects(writer, document.suspects)
    _timeline(writer, document.timeline, document.more_lines)


def _pair(writer: Writer, name: str, value: str, width: float) -> None:
    """A short text in grey, a longer one beside it."""
    writer.room(6)
    writer.sheet.set_text_color(*MUTED)
    top = writer.sheet.get_y()
    writer.lines(name, width=width - 2)
    below = writer.sheet.get_y()
    writer.sheet.set_xy(writer.sheet.l_margin + width, top)
    writer.sheet.set_text_color(*INK)
    writer.lines(value)
    if writer.sheet.get_y() < below and top < below:
        writer.sheet.set_y(below)


def _figures(writer: Writer, figures: Sequence[Figure]) -> None:
    if not figures:
        return
    writer.heading(_("Figures"), 1)
    for figure in figures:
        writer.room(16)
        writer.sheet.set_font(fonts.BODY, "B", 10)
        parts = ", ".join(f"{name} {value}" for name, value in figure.parts)
        _pair(writer, figure.label, f"{figure.value}" + (f" ({parts})" if parts else ""), 60)
        writer.small(f"{figure.formula} {_('Asked at {time}.').format(time=figure.at) if figure.at else ''}")


def _charts(writer: Writer, charts: Sequence[Chart]) -> None:
    if not charts:
        return
    writer.room(PLOT_HEIGHT + 50)
    writer.heading(_("How it went"), 1)
    for chart in charts:
        _chart(writer, chart)
    writer.small(_("Sent stands above the line, failed hangs below it; red are failures and dead letters."))


def _chart(writer: Writer, chart: Chart) -> None:
    sheet = writer.sheet
    writer.room(PLOT_HEIGHT + 30)
    sheet.set_font(fonts.BODY, "B", 10)
    writer.lines(f"{chart.title} · {chart.unit}")
    left, top = sheet.l_margin + 14, sheet.get_y() + 2
    wide, tall = (sheet.epw - 14) / chart.width, PLOT_HEIGHT / chart.height
    _scale(writer, chart, top)
    for bar in chart.bars:
        sheet.set_fill_color(*(MUTED if bar.kind == "sent" else BAD))
        sheet.rect(left + bar.x * wide, top + bar.y * tall, bar.width * wide, bar.height * tall, style="F")
    for mark in chart.marks:
        sheet.set_draw_color(*(ACCENT if mark.kind == "deployment" else WARNING))
        sheet.line(left + mark.x * wide, top, left + mark.x * wide, top + PLOT_HEIGHT)
    sheet.set_draw_color(*LINE)
    sheet.line(left, top + chart.zero * tall, left + chart.width * wide, top + chart.zero * tall)
    below = top + PLOT_HEIGHT + 1
    for span in chart.spans:
        sheet.set_fill_color(*TONES[span.tone])
        sheet.rect(left + span.x * wide, below, span.width * wide, 1.6, style="F")
    _axis(writer, chart, left, below + 2)
    writer.small(_chart_words(chart))


def _scale(writer: Writer, chart: Chart, top: float) -> None:
    sheet = writer.sheet
    sheet.set_font(fonts.BODY, "", 7)
    sheet.set_text_color(*MUTED)
    for value, place in chart.places:
        sheet.set_xy(sheet.l_margin, top + PLOT_HEIGHT * place / chart.height - 2)
        sheet.cell(12, 4, human.compact(value), align="R")


def _axis(writer: Writer, chart: Chart, left: float, top: float) -> None:
    sheet = writer.sheet
    sheet.set_font(fonts.BODY, "", 7)
    room = (sheet.epw - 14) / (len(chart.ticks) - 1)
    for position, label in enumerate(chart.tick_labels):
        sheet.set_xy(left + room * position - 12, top)
        sheet.cell(24, 4, writer.shown(label), align="C")
    sheet.set_xy(sheet.l_margin, top + 5)


def _chart_words(chart: Chart) -> str:
    words = [chart.label]
    states = [f"{chart.stretch(row)} {row.state}" for row in chart.rows if row.state]
    if states:
        words.append(_("Breaker: {states}").format(states=", ".join(_runs(chart))))
    return ". ".join(words)


def _runs(chart: Chart) -> list[str]:
    """Each state once for as long as it lasts in the rows."""
    runs: list[tuple[str, str, str]] = []
    for row in chart.rows:
        since, _dash, until = chart.stretch(row).partition("–")
        if runs and runs[-1][2] == row.state:
            runs[-1] = (runs[-1][0], until, row.state)
        else:
            runs.append((since, until, row.state))
    return [f"{since}–{until} {state}" for since, until, state in runs if state]


def _items(writer: Writer, items: Sequence[Item]) -> None:
    writer.heading(_("Action items"), 1)
    if not items:
        writer.paragraph(_("None."))
    for item in items:
        words = f"{item.text} ({item.owner}, {item.due}, {item.state})" + (f": {item.reason}" if item.reason else "")
        writer.bullet("☑" if item.done else "☐", words)


def _suspects(writer: Writer, suspects: Sequence[tuple[str, str]]) -> None:
    if suspects:
        writer.heading(_("What had changed before"), 1)
    for number, (title, why) in enumerate(suspects, start=1):
        writer.bullet(f"{number}.", f"{title}: {why}")


def _timeline(writer: Writer, entries: Sequence[Entry], more: int) -> None:
    if not entries:
        return
    writer.heading(_("Timeline"), 1)
    for entry in entries[:MOST_LINES]:
        words = ": ".join(text for text in (entry.title, entry.text) if text)
        writer.sheet.set_font(fonts.BODY, "B" if entry.pinned else "", 8.5)
        _pair(writer, entry.at, f"{words} · {entry.actor}" if entry.actor else words, TIME_WIDTH)
    rest = more + max(0, len(entries) - MOST_LINES)
    if rest:
        writer.small(more_words(rest))
