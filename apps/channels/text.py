"""What a destination answered, as text that is safe to store and show."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

EXCERPT_CHARS: Final = 2048
MASK: Final = "[secret]"
_SHORTEST: Final = 4


def storable(data: bytes) -> str:
    """Bytes of any kind as text: not UTF-8 becomes U+FFFD, NUL goes."""
    return data.decode("utf-8", "replace").replace("\x00", "")


def clean(text: str) -> str:
    """Storable text out of foreign headers, replies and JSON, which may hold halves of surrogate pairs."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\x00", "")


def inflated(data: bytes, encoding: str, cap: int) -> bytes:
    """At most ``cap`` bytes of what ``data`` unpacks to, so that a small answer cannot fill the memory."""
    kind = encoding.strip().lower()
    if kind in ("", "identity"):
        return data[:cap]
    if kind not in ("gzip", "x-gzip", "deflate"):
        return f"({len(data)} bytes, {kind[:20]})".encode()
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        try:
            return zlib.decompressobj(window).decompress(data, cap)
        except zlib.error:
            continue
    return f"({len(data)} bytes that are not {kind})".encode()


class Redactor:
    """Replaces secrets in text, in the spellings they have on the wire."""

    __slots__ = ("_needles",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        found = {form for secret in secrets if len(secret) >= _SHORTEST for form in _spellings(secret)}
        self._needles = sorted(found, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for needle in self._needles:
            if needle in text:
                text = text.replace(needle, MASK)
        return text

    def excerpt(self, data: bytes) -> str:
        """The beginning of an answer, without secrets: masked first and cut afterwards."""
        return self(storable(data))[:EXCERPT_CHARS] if data else ""


def _spellings(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "replace")
    forms = {secret, quote(secret, safe=""), quote_plus(secret), base64.b64encode(raw).decode()}
    forms.add(secret.replace("/", "\\/"))
    if secret.startswith("whsec_"):
        forms.add(secret.removeprefix("whsec_"))
    return {form for form in forms if len(form) >= _SHORTEST}


def snippet(text: str, length: int = 200) -> str:
    """One short line for an error message; empty for a page of HTML, which says nothing in one line."""
    line = " ".join(text.split())
    if line[:1] == "<":
        return ""
    return line if len(line) <= length else line[: length - 1] + "…"
