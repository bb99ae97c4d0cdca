"""What makes two deaths the same: pure text work. Ids, numbers, times and addresses do not tell causes apart."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Final

MAX_INPUT: Final = 4000
MAX_MESSAGE: Final = 300

_DAYS = r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},?\s"
_MONTHS = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"

# One placeholder for every number and id: an id in hex may happen to be all digits, and a number that
# grows by a digit must not become another kind of thing. Every quantifier is bounded or walks over
# the text once, so hostile text costs no more than other text of its length.
_STEPS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"[\x00-\x1f\x7f\s]+", " "),
        (r"(https?://)[^\s/@\"'<>]{1,256}@", r"\1"),
        (r"(https?://[^\s?#\"'<>]{1,1000})[?#][^\s\"'<>]*", r"\1"),
        (r"[^\s@<>\"'(),;:=\[\]]{1,64}@[^\s@<>\"'(),;:=\[\]]{1,255}", "<email>"),
        (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "#"),
        (rf"\b(?:{_DAYS})?\d{{1,2}}[ -]{_MONTHS}[ -]\d{{2,4}}\b", "#"),
        (rf"\b(?:{_DAYS})?{_MONTHS}\s\d{{1,2}}\b", "#"),
        (r"\b[0-9a-f]{8,}\b|\b\w{32,}\b", "#"),
        (r"\b[^\W\d]{0,31}\d\w*", "#"),
        (r"[(\[]#[)\]]", "#"),
        (r"#(?:[-.,:/+ ]{1,2}#)+", "#"),
        (r"(?<!\w)[+-]#", "#"),
        (r"# ?(?:utc|gmt|am|pm)\b", "#"),
        (r"#(?:[-.,:/+ ]{1,2}#)+", "#"),
    )
)


def normalise(error: str) -> str:
    """``error`` without what differs from one death to the next, at most MAX_MESSAGE characters."""
    text = error[:MAX_INPUT].encode("utf-8", "replace").decode()
    for pattern, replacement in _STEPS:
        text = pattern.sub(replacement, text)
    text = text.strip()
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


def fingerprint(service: str, error_class: str, status_code: int | None, error: str) -> tuple[str, str]:
    """The cause a death belongs to: 16 hex characters, and the message without its variable parts.

    Two deaths share a fingerprint when service, error class, status code and normalised message agree.
    """
    message = normalise(error)
    parts = json.dumps([service, error_class, status_code, message.casefold()])
    return hashlib.sha256(parts.encode()).hexdigest()[:16], message
