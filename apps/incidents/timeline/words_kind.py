"""What the words of one kind of line are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Detail = Mapping[str, Any]
Words = Callable[[Detail], str]


def nothing(detail: Detail) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Kind:
    """``tone`` is good, warning, bad, unknown, info or empty. ``many`` is the title of a run of such lines, from the
    detail of each; a kind without one is never folded.
    """

    icon: str
    tone: str
    title: Words
    text: Words = nothing
    many: Callable[[Sequence[Detail]], str] | None = None


# Every kind there is, by the name that is stored; filled by apps.incidents.timeline.words, and by who adds a source.
KINDS: Final[dict[str, Kind]] = {}


def reason(detail: Detail) -> str:
    text = str(detail.get("reason") or "")
    return f"“{text}”" if text else ""


def said(detail: Detail) -> str:
    return str(detail.get("text") or "")
