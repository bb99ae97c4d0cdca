"""People's Markdown as HTML that is safe to show.

Two walls. The parser makes no HTML out of HTML, takes only links to http, https, mailto and pages of the portal, and no
images; then nh3 lets through only what is listed here, whatever the parser has made. What turns the direction of text
or cannot be seen is shown as what it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

# More than this is no post-mortem: it is shown as it was written.
LONGEST: Final = 60_000
# As deep as lists and quotations go; deeper ones stay text.
DEEPEST: Final = 12
SCHEMES: Final = frozenset({"http", "https", "mailto"})
REL: Final = "nofollow noopener noreferrer"
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*(?=:)", re.IGNORECASE)
# Joiners make emoji and some scripts; every other mark without a shape can only mislead.
_JOINERS: Final = frozenset("\u200c\u200d")
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNSEEN: Final = re.compile(r"[^\n\t -~\u00a1-\u00ac\u00ae-\u05ff]")
_TAGS: Final = {
    "a",
    "blockquote",
    "br",
    "code",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
} | {"s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"}
_ATTRIBUTES: Final[dict[str, set[str]]] = {"a": {"href", "title"}, "ol": {"start"}}
_CLASSES: Final[dict[str, set[str]]] = {"td": {"number"}, "th": {"number"}}


def render(text: str, *, heading: int = 3) -> SafeString:
    """``text`` as HTML; its first level of headings becomes h``heading``, so that it fits under the page's own."""
    return mark_safe(_rendered(text, heading))  # noqa: S308 - behind the two walls above


def visible(text: str) -> str:
    """``text`` with nothing in it that cannot be seen: controls as their pictures, turning marks by their numbers."""
    return _UNSEEN.sub(lambda found: _shown(found[0]), text)


def tokens(text: str) -> list[Token]:
    """What ``text`` says, for the other forms it is written in. Longer text than :data:`LONGEST` is one code block."""
    if len(text) > LONGEST:
        return [Token("code_block", "code", 0, content=visible(text))]
    return _PARSER.parse(unified(text))


def link_is_safe(url: str) -> bool:
    """True for http, https and mailto, and for a path of this portal."""
    scheme = _SCHEME.match(url)
    if scheme:
        return scheme[0].lower() in SCHEMES
    return url.startswith("/") and not url.startswith(("//", "/\\")) and visible(url) == url


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if character in _TURNING:
        return f"[U+{ord(character):04X}]"
    if category == "Cc":
        return _picture(character)
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    return "" if category == "Cf" and character not in _JOINERS else character


def _picture(control: str) -> str:
    number = ord(control)
    if number == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    return chr(0x2400 + number) if number < 0x20 else "\N{REPLACEMENT CHARACTER}"


def unified(text: str) -> str:
    """As it is parsed: line ends are line feeds, nothing is unseen."""
    return visible(text.replace("\r\n", "\n").replace("\r", "\n"))


@lru_cache(maxsize=256)
def _rendered(text: str, heading: int) -> str:
    if len(text) > LONGEST:
        return f"<pre>{escape(unified(text))}</pre>"
    made = _PARSER.renderer.render(tokens(text), _PARSER.options, {"heading": heading})
    # References such as &#x202E; have become characters meanwhile.
    return nh3.clean(
        visible(made),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        url_schemes=set(SCHEMES),
        link_rel=REL,
    )


def _heading(self: RendererHTML, found: Sequence[Token], index: int, options: Any, env: Any) -> str:
    level = min(6, int(found[index].tag[1]) + env.get("heading", 1) - 1)
    return f"<h{level}>" if found[index].nesting == 1 else f"</h{level}>\n"


def _cell(self: RendererHTML, found: Sequence[Token], index: int, options: Any, env: Any) -> str:
    right = "right" in str(found[index].attrGet("style") or "")
    return f'<{found[index].tag} class="number">' if right else f"<{found[index].tag}>"


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": DEEPEST})
    parser.enable(["table", "strikethrough"]).disable("image")
    parser.validateLink = link_is_safe  # type: ignore[method-assign]
    for name, rule in {"heading_open": _heading, "heading_close": _heading, "th_open": _cell, "td_open": _cell}.items():
        parser.add_render_rule(name, rule)
    return parser


_PARSER: Final = _parser()
