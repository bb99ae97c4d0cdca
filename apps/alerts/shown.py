"""Text from outside as a page may show it: nothing in it is invisible, and nothing turns the text around it. Pure.

Pages escape besides; this is about characters that no escaping makes visible.
"""

from __future__ import annotations

import unicodedata
from typing import Final
from urllib.parse import urlsplit

# Controls, marks without a shape (among them those that turn the direction), halves of pairs, lines of other kinds.
_UNSEEN: Final = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
# Joins emoji into one, and does nothing else that could mislead.
_JOINER: Final = "\u200d"


def visible(text: str, limit: int = 2000) -> str:
    """``text`` with what cannot be seen spelled out, such as ``⟨U+202E⟩``; cut after ``limit`` characters."""
    cut = text[:limit].replace("\r\n", "\n")
    shown = "".join(_spelled(character) for character in cut)
    return f"{shown}…" if len(text) > limit else shown


def visible_line(text: str, limit: int = 300) -> str:
    """The same on one line."""
    return " ".join(visible(text, limit).split())


def _spelled(character: str) -> str:
    if character in ("\n", _JOINER):
        return character
    if character == "\t":
        return " "
    return f"⟨U+{ord(character):04X}⟩" if unicodedata.category(character) in _UNSEEN else character


def safe_link(url: str) -> str:
    """``url`` when it is a web address that may be linked, else nothing: javascript:, data: and relative ones."""
    clean = url.strip()
    if len(clean) > 2000 or visible(clean, 2001) != clean or any(c.isspace() for c in clean):
        return ""
    try:
        parts = urlsplit(clean)
    except ValueError:
        return ""
    return clean if parts.scheme.lower() in ("http", "https") and parts.hostname else ""
