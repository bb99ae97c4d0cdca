"""Live regions: a page asks again for itself and gets back only the regions that changed.

A region is a piece of a page with an id and a hash of what it says. The page sends the hashes it shows
as If-None-Match; the answer is 304 when all of them still hold, else the regions that differ, to be
swapped in place. What moves by itself in the browser (the text of a <time>) is not part of the hash.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib.staticfiles.storage import staticfiles_storage
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

HEADER: Final = "X-Live"
ANCHOR_HEADER: Final = "X-Live-Anchor"
MARK_HEADER: Final = "X-Page-Mark"
# htmx looks at hx-swap-oob in answers only, so a page and an answer can use the same markup.
REGION: Final = '<div id="live-{name}" data-region="{name}" data-hash="{mark}" hx-swap-oob="true"{extra}>{inner}</div>'
_TIME_TEXT: Final = re.compile(r"(<time\b[^>]*>)[^<]*(?=</time>)")
# Masked anew on every rendering.
_CSRF_TOKEN: Final = re.compile(r'name="csrfmiddlewaretoken" value="[^"]*"')
_TAG: Final = re.compile(r"([a-z][a-z0-9-]*)\.([0-9a-f]{12})")


@dataclass(slots=True)
class Regions:
    """The regions rendered for one answer, by name."""

    hashes: dict[str, str] = field(default_factory=dict)
    fragments: dict[str, SafeString] = field(default_factory=dict)

    def add(self, name: str, html: str, attributes: str = "") -> SafeString:
        """Wrap ``html`` as the region ``name``; ``attributes`` is HTML already."""
        mark = fragment_hash(html + attributes)
        # A rendered template: autoescaping has done its work.
        inner, extra = mark_safe(html), mark_safe(attributes)  # noqa: S308
        self.hashes[name] = mark
        self.fragments[name] = format_html(REGION, name=name, mark=mark, extra=extra, inner=inner)
        return self.fragments[name]

    @property
    def etag(self) -> str:
        return '"' + " ".join(f"{name}.{mark}" for name, mark in sorted(self.hashes.items())) + '"'


def fragment_hash(html: str) -> str:
    """12 hex characters over what ``html`` says, the running text of <time> and CSRF tokens aside."""
    said = _CSRF_TOKEN.sub("", _TIME_TEXT.sub(r"\1", html))
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def is_live(request: HttpRequest) -> bool:
    """True when a page asks again for its regions."""
    return request.headers.get(HEADER) == "1"


def anchor(request: HttpRequest) -> int | None:
    """The newest row the page shows, so that a live list keeps its rows and only counts newer ones."""
    text = request.headers.get(ANCHOR_HEADER, "")
    return int(text) if is_live(request) and text.isascii() and text.isdigit() and len(text) < 19 else None


def page_mark(request: HttpRequest) -> str:
    """What a loaded page depends on beside its regions: our files, the person, the session's CSRF secret. A page
    that sees another mark loads itself again, or its forms would be refused and its scripts might not fit.
    """
    get_token(request)
    files = getattr(staticfiles_storage, "manifest_hash", "")
    parts = (files, getattr(request.user, "pk", None), request.META.get("CSRF_COOKIE", ""))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def live_page(request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Render ``template``, or when the page asks again, only what changed of its regions."""
    regions = Regions()
    asked = is_live(request)
    layout = "layouts/live.html" if asked else "layouts/base.html"
    response = render(
        request,
        template,
        {**context, "layout": layout, "regions": regions, "is_live": True, "page_mark": page_mark(request)},
        status=status,
    )
    response["Vary"] = f"Cookie, {HEADER}"
    response["Cache-Control"] = "private, no-cache"
    if not asked:
        return response
    known = dict(_TAG.findall(request.headers.get("If-None-Match", "")))
    changed = [regions.fragments[name] for name, mark in regions.hashes.items() if known.get(name) != mark]
    answer = HttpResponse("".join(changed)) if changed else HttpResponseNotModified()
    answer["ETag"] = regions.etag
    answer[MARK_HEADER] = page_mark(request)
    answer["Vary"] = response["Vary"]
    answer["Cache-Control"] = "private, no-store"
    return answer
