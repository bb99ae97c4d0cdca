"""A post-mortem as HTML: a whole page that needs no other file, and a piece for an issue tracker."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from apps.postmortems.exporting.document import Document
from apps.postmortems.exporting.text import more_words
from apps.postmortems.markdown import render

# A tracker takes a megabyte at most; the whole timeline stays in the portal.
LINES_OF_A_PIECE: Final = 200
_STYLE: Final = Path(__file__).parent / "page.css"


def page_of(document: Document) -> str:
    """``<!doctype html>`` to ``</html>``, with its style, charts as SVG, and no script."""
    context = _context(document, len(document.timeline))
    return render_to_string("postmortems/page.html", {**context, "style": _style(), "policy": policy()})


def fragment(document: Document) -> SafeString:
    """The same without charts and with the beginning of the timeline, as HTML to put into something else."""
    context = _context(document, LINES_OF_A_PIECE)
    return render_to_string("postmortems/document.html", {**context, "with_charts": False})


def _context(document: Document, lines: int) -> dict[str, Any]:
    shown = document.timeline[:lines]
    more = document.more_lines + len(document.timeline) - len(shown)
    return {
        "document": document,
        "parts": [{"label": part.label, "html": render(part.text)} for part in document.parts],
        "timeline": shown,
        "more": more_words(more) if more else "",
    }


@lru_cache(maxsize=1)
def policy() -> str:
    """Nothing runs in the file, it asks nobody for anything, and its only style is the one it came with."""
    digest = b64encode(sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@lru_cache(maxsize=1)
def _style() -> SafeString:
    return mark_safe(_STYLE.read_text(encoding="utf-8"))  # noqa: S308 - a file of ours
