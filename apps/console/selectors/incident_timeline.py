"""What the pages show of an incident's timeline and of its suspects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import structlog
from django.core.cache import cache
from django.http import QueryDict
from django.utils.translation import get_language
from redis.exceptions import RedisError

from apps.core.clock import now
from apps.incidents.lifecycle import is_open
from apps.incidents.models import Incident, State
from apps.incidents.suspects import Suspect, rank
from apps.incidents.timeline.lines import Hour, Tally, by_hour, folded, page, problems, tallies
from apps.incidents.timeline.words_incident import culprit_title

log = structlog.get_logger(__name__)

AT_ONCE: Final = 80
BESIDE: Final = 40
ORDERS: Final = ("newest", "oldest")
# Ranking asks a dozen questions; a page that looks every second need not ask them each time.
RANKED_SECONDS: Final = 15
FIRST_SUSPECTS: Final = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks of a timeline: ``source``, ``only=pinned``, ``hidden=1``, ``order``, ``cursor``."""

    source: str
    pinned: bool
    hidden: bool
    newest_first: bool
    cursor: str

    @property
    def filtered(self) -> bool:
        return bool(self.source or self.pinned)

    @property
    def everything(self) -> bool:
        return not self.filtered


def asked(query: QueryDict, incident: Incident) -> Asked:
    """Newest first while it runs, as a story when it is over, unless the address says otherwise."""
    order = query.get("order", "")
    newest = order == "newest" if order in ORDERS else is_open(incident.state)
    return Asked(
        source=query.get("source", "")[:24],
        pinned=query.get("only") == "pinned",
        hidden=query.get("hidden") == "1",
        newest_first=newest,
        cursor=query.get("cursor", ""),
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A page of a timeline. ``lines`` counts those on it, ``total`` all that are not hidden."""

    hours: list[Hour]
    next_cursor: str | None
    asked: Asked
    tallies: list[Tally]
    icons: list[str]
    lines: int
    total: int
    pinned: int
    hidden: int
    problems: list[tuple[str, str]]
    changeable: bool
    filled_to: datetime | None


def timeline_of(incident: Incident, query: QueryDict, *, limit: int = AT_ONCE) -> Shown:
    """Two queries, however long the timeline is. Raises Invalid for a cursor that is none of ours."""
    want = asked(query, incident)
    found = page(
        incident,
        hidden=want.hidden,
        pinned=want.pinned,
        sources=[want.source] if want.source else [],
        newest_first=want.newest_first,
        cursor=want.cursor,
        limit=limit,
    )
    counted, pins, hid = tallies(incident)
    return Shown(
        hours=by_hour(folded(found.items)),
        next_cursor=found.next_cursor,
        asked=want,
        tallies=counted,
        icons=sorted({line.icon for line in found.items}),
        lines=len(found.items),
        total=sum(tally.lines for tally in counted),
        pinned=pins,
        hidden=hid,
        problems=problems(incident),
        changeable=incident.state != State.MERGED,
        filled_to=incident.collected_at,
    )


# --- suspects -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Culprit:
    """What people named, in the reader's language, also when what it came from is purged."""

    kind: str
    ref: str
    title: str
    url: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Suspects:
    first: list[Suspect]
    more: list[Suspect]
    culprit: Culprit | None
    changeable: bool


def suspects_of(incident: Incident) -> Suspects:
    found = [replace(one, named=_is(one, incident.culprit)) for one in _ranked(incident)]
    changeable = incident.state != State.MERGED
    return Suspects(found[:FIRST_SUSPECTS], found[FIRST_SUSPECTS:], culprit_of(incident), changeable)


def _is(one: Suspect, culprit: Mapping[str, Any]) -> bool:
    return (culprit.get("kind"), culprit.get("ref")) == (one.candidate.kind, one.candidate.ref)


def culprit_of(incident: Incident) -> Culprit | None:
    named = incident.culprit
    if not named:
        return None
    at = datetime.fromisoformat(named["at"]) if named.get("at") else None
    return Culprit(str(named.get("kind")), str(named.get("ref")), culprit_title(named), str(named.get("url", "")), at)


def _ranked(incident: Incident) -> list[Suspect]:
    key = _key(incident)
    try:
        known: list[Suspect] | None = cache.get(key)
    except (RedisError, OSError) as error:  # the cache is away: the database knows
        log.debug("cache.away", error=str(error))
        known = None
    if known is None:
        known = rank(incident, now())
        _keep(key, known)
    return known


def _keep(key: str, found: list[Suspect]) -> None:
    try:
        cache.set(key, found, RANKED_SECONDS)
    except (RedisError, OSError) as error:
        log.debug("cache.away", error=str(error))


def _key(incident: Incident) -> str:
    """Words are of one language; what it is about and what is named change the ranking at once."""
    about = [incident.started_at.isoformat(), incident.collected.get("scope"), incident.culprit]
    mark = hashlib.sha256(repr(about).encode()).hexdigest()[:16]
    return f"suspects.{incident.pk}.{get_language()}.{mark}"
