"""What a source of the timeline hands over, and what it is asked about. No ORM here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

# What led to it lies before it: so long before the start the portal looks for causes.
CONTEXT: Final = timedelta(minutes=30)
# What follows the end, a last message that is delivered for one, still belongs to it.
AFTERMATH: Final = timedelta(minutes=10)
MOST: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened. ``ref`` names it within its source for ever, so that it is one line however often it is
    collected. ``detail`` is what words are made of; ``url`` is a path of the portal.

    ``grows``: ``detail["count"]`` only ever grows, so a smaller one comes from rows that were purged since.
    ``weak``: less is known of it than before, so it makes a line but changes none.
    """

    ref: str
    at: datetime
    what: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    url: str = ""
    actor: str = ""
    grows: bool = False
    weak: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an incident is about: its services and alerts, and those of the incidents that were merged into it.

    ``context_from`` lies before ``began``; ``ends`` is in the future never, times are of the database's clock.
    """

    incident_id: int
    merged: tuple[int, ...]
    services: tuple[str, ...]
    episodes: tuple[int, ...]
    context_from: datetime
    began: datetime
    ends: datetime

    @property
    def incidents(self) -> tuple[int, ...]:
        return (self.incident_id, *self.merged)


@dataclass(frozen=True, slots=True)
class Span:
    """From when (inclusive) until when (inclusive), and how many facts at most, the earliest first."""

    since: datetime
    until: datetime
    limit: int = MOST
