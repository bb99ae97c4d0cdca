"""What the figures of an incident are counted over, and where the rows behind one can be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.http import urlencode

from apps.incidents.models import Incident, IncidentEpisode, IncidentThing


@dataclass(frozen=True, slots=True)
class Scope:
    """From ``start`` up to and without ``end``. No ``services``: the incident names none, so all of them count."""

    incident: Incident
    start: datetime
    end: datetime
    services: tuple[str, ...] = ()
    episodes: tuple[int, ...] = ()

    @property
    def first_minute(self) -> datetime:
        """The counters of minutes know no seconds: the minute it began in is counted whole."""
        return self.start.replace(second=0, microsecond=0)

    def of_services(self, name: str = "service") -> Q:
        return Q(**{f"{name}__in": self.services}) if self.services else Q()

    def within(self, name: str) -> Q:
        return Q(**{f"{name}__gte": self.start, f"{name}__lt": self.end})


@dataclass(frozen=True, slots=True)
class Rows:
    """A page that lists what was counted: the name of its address, its arguments and its filters.

    ``timed`` pages take the span as ``after`` and ``before``, which are read in the reader's own time zone.
    """

    name: str
    args: tuple[Any, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    timed: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "args": list(self.args), "query": dict(self.query), "timed": self.timed}


def scope_of(incident: Incident, now: datetime) -> Scope:
    """An incident that is not over lasts until ``now``."""
    start = min(incident.started_at, incident.detected_at)
    end = max(incident.resolved_at or now, start)
    # What was merged into it is part of it.
    ids = [incident.pk, *Incident.objects.filter(merged_into=incident).values_list("pk", flat=True)]
    links = IncidentEpisode.objects.filter(incident__in=ids).values_list("episode_id", "episode__service")
    found = dict(links)
    named = set(IncidentThing.objects.filter(incident__in=ids, kind="service").values_list("ref", flat=True))
    services = tuple(sorted((named | set(found.values())) - {""}))
    return Scope(incident, start, end, services, tuple(sorted(found)))


def url_of(rows: Mapping[str, Any], span: Mapping[str, str]) -> str:
    """The address of ``rows`` for whoever reads now; empty when there is no such page."""
    query = dict(rows.get("query") or {})
    if rows.get("timed"):
        query |= {"after": _local(span["from"]), "before": _local(span["to"])}
    try:
        url = reverse(str(rows.get("name", "")), args=list(rows.get("args") or []))
    except NoReverseMatch:
        return ""
    return f"{url}?{urlencode(query)}" if query else url


def _local(text: str) -> str:
    return f"{timezone.localtime(datetime.fromisoformat(text)):%Y-%m-%dT%H:%M:%S}"
