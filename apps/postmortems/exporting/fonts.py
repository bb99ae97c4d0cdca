"""The fonts of a PDF, out of a package that carries them, and what is shown of a character that none of them has."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pymupdf_fonts
import structlog
from django.conf import settings
from fontTools.ttLib import TTFont, TTLibError
from fpdf import FPDF
from fpdf.errors import FPDFException
from fpdf.fonts import TTFFont

from apps.postmortems.markdown import visible

log = structlog.get_logger(__name__)
# It tells of each table of each font at the level that the portal logs.
logging.getLogger("fontTools").setLevel(logging.WARNING)

BODY: Final = "body"
MONO: Final = "mono"
SYMBOLS: Final = "symbols"
LEAD: Final = "\N{NO-BREAK SPACE}"
# Family and style -> name in the package: FiraGO (Latin, Greek, Cyrillic, Arabic, Hebrew, Thai, Georgian, Devanagari),
# Cascadia Mono, Noto Sans Symbols 2.
FONTS: Final[Mapping[tuple[str, str], str]] = {
    (BODY, ""): "figo",
    (BODY, "B"): "figbo",
    (BODY, "I"): "figit",
    (BODY, "BI"): "figbi",
    (MONO, ""): "cascadia",
    (SYMBOLS, ""): "symbol2",
}
# Scripts from here on are joined or turned, so they go through the shaper; what stands before is set faster without.
FIRST_SHAPED: Final = 0x0590
_SHAPED_TO: Final = 0x1FFF


@dataclass(frozen=True, slots=True)
class Known:
    """The characters that can be shown at all, those of the body's own font, and those of code's."""

    all: frozenset[int]
    body: frozenset[int]
    mono: frozenset[int]


def load(pdf: FPDF, folder: Path) -> Known:
    """Make the fonts known to ``pdf``, by way of files in ``folder``."""
    for (family, style), name in FONTS.items():
        path = folder / f"{name}.ttf"
        path.write_bytes(pymupdf_fonts.myfont(name))
        pdf.add_font(family, style, str(path))
    more = [name for number, path in enumerate(settings.PDF_FONTS) if (name := _added(pdf, f"more{number}", path))]
    pdf.set_fallback_fonts([SYMBOLS, MONO, *more], exact_match=False)
    each = {key: frozenset(font.cmap) for key, font in pdf.fonts.items() if isinstance(font, TTFFont)}
    others = [each[name] for name in (SYMBOLS, *more)]
    # What the body lacks in one of its styles is looked for in the others, so all of them must have it.
    body = frozenset.intersection(*(each[family + style] for family, style in FONTS if family == BODY))
    return Known(frozenset().union(body, each[MONO], *others), body, each[MONO])


def _added(pdf: FPDF, name: str, path: str) -> str:
    """A font of the installation; one that cannot be read is left out, and the log says so."""
    try:
        # Read by a hand that closes it, whatever it is.
        with open(path, "rb") as file:
            TTFont(file, fontNumber=0)
        pdf.add_font(name, "", path)
    except (OSError, ValueError, FPDFException, TTLibError) as error:
        log.warning("export.font_unusable", path=path, error=str(error))
        return ""
    return name


def shown(text: str, known: frozenset[int]) -> str:
    """``text`` with what no font has written out: a symbol by its name, a letter by its number."""
    plain = visible(text).replace("\t", "    ")
    return "".join(c if c == "\n" or ord(c) in known else _instead(c) for c in plain)


def led(text: str, known: Known) -> str:
    """With a space before a sign of another font: fpdf2 takes the font of the first letter it writes after a
    change of fonts for the one that was set.
    """
    return LEAD + text if text and text[0] != "\n" and ord(text[0]) not in known.body else text


def needs_shaping(text: str) -> bool:
    return any(FIRST_SHAPED <= ord(c) <= _SHAPED_TO for c in text)


def _instead(character: str) -> str:
    if unicodedata.category(character) in ("Cf", "Mn", "Sk", "Zs"):
        return " " if unicodedata.category(character) == "Zs" else ""
    name = unicodedata.name(character, "") if unicodedata.category(character) == "So" else ""
    return f"[{name.lower()}]" if name else f"[U+{ord(character):04X}]"
