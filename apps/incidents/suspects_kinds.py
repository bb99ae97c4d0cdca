"""Kinds of suspects: how candidates of each are found. A new kind joins by one call of :func:`register`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.utils.functional import Promise

MOST: Final = 200
KIND_POINTS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Something that happened near the start. ``(kind, ref)`` names it; ``what`` and ``detail`` make its words as those
    of a line of the timeline. ``services`` are those it touched; empty for what touches none in particular.
    ``group``: of several candidates of one group only the best is shown, with how many there are.
    """

    kind: str
    ref: str
    at: datetime
    what: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    url: str = ""
    actor: str = ""
    services: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """When to look. Both ends are inclusive."""

    since: datetime
    until: datetime
    limit: int = MOST
    # What several kinds read together, so that the database is asked once.
    known: dict[str, list[Any]] = field(default_factory=dict, compare=False)

    def once(self, name: str, read: Callable[[Window], Iterable[Any]]) -> list[Any]:
        if name not in self.known:
            self.known[name] = list(read(self))
        return self.known[name]


@dataclass(frozen=True, slots=True)
class SuspectKind:
    """``weight``, 0 to 20, says how often such things are to blame; ``find`` yields what happened in a window."""

    name: str
    label: str | Promise
    icon: str
    weight: int
    find: Callable[[Window], Iterable[Candidate]]


SUSPECTS: Final[dict[str, SuspectKind]] = {}


def register(kind: SuspectKind) -> None:
    """Add a kind. Deployments join so, with the issue that brings their table (docs/design/timeline.md)."""
    if kind.name in SUSPECTS or not 0 <= kind.weight <= KIND_POINTS:
        raise ValueError(f"{kind.name!r} is there already, or its weight is not from 0 to {KIND_POINTS}")
    SUSPECTS[kind.name] = kind
