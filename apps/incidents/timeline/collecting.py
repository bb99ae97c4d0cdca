"""Filling a timeline: every source is asked for what is new, and each fact becomes one line, however often.

Each source is a transaction of its own that holds the incident's row: two collectors take turns, and a source that
breaks takes nothing with it. docs/design/timeline.md says what is read how often.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.db import DatabaseError, transaction
from django.db.models import F, Q

from apps.audit.canonical import clean_text, plain
from apps.core.db import database_now
from apps.incidents.models import OPEN_STATES, Incident, IncidentEpisode, IncidentThing, State, TimelineEntry
from apps.incidents.timeline.facts import AFTERMATH, CONTEXT, Fact, Scope, Span
from apps.incidents.timeline.of_alerts import EPISODES, chunks
from apps.incidents.timeline.sources import SOURCES, Source

log = structlog.get_logger(__name__)

# Rows are committed a little after the time they bear, and minutes are added to while they run.
OVERLAP: Final = timedelta(minutes=3)
# So many helpings of a source in one go; what is left waits for the next.
ROUNDS: Final = 5
AT_A_TIME: Final = 50
KEPT: Final = ("at", "what", "detail", "url", "actor")


def collect(incident: Incident, now: datetime) -> int:
    """Fill the timeline of ``incident`` up to ``now`` (of the database's clock). Returns how many lines are new or
    changed. Safe to repeat and side by side; a merged incident is left as it is.
    """
    if incident.state == State.MERGED:
        return 0
    scope = scope_of(incident, now)
    stands = _stands(incident, scope)
    changed = sum(_read(source, scope, stands) for source in SOURCES.values())
    stands["problems"] = {name: why for name, why in stands["problems"].items() if name in SOURCES}
    Incident.objects.filter(pk=incident.pk).update(collected=stands, collected_at=now)
    incident.collected, incident.collected_at = stands, now
    return changed


def collect_due(now: datetime | None = None) -> int:
    """Every incident that runs, and those that ended until all that belongs to them has come in. An incident that
    breaks holds up no other. Returns how many lines are new or changed.
    """
    at, changed = now or database_now(), 0
    for incident in due(at):
        try:
            changed += collect(incident, at)
        except DatabaseError:
            log.exception("timeline.collecting_failed", incident_id=incident.pk)
    return changed


def due(now: datetime) -> list[Incident]:
    """Those that waited longest first, so that each gets its turn."""
    late = F("resolved_at") + AFTERMATH + OVERLAP
    ended = Q(state=State.RESOLVED, resolved_at__gt=now - timedelta(days=1))
    rest = ended & (Q(collected_at__isnull=True) | Q(collected_at__lt=late))
    rows = Incident.objects.filter(Q(state__in=OPEN_STATES) | rest)
    return list(rows.order_by(F("collected_at").asc(nulls_first=True), "pk")[:AT_A_TIME])


def scope_of(incident: Incident, now: datetime) -> Scope:
    """What the incident is about, as of now."""
    merged = dict(Incident.objects.filter(merged_into=incident).order_by("pk").values_list("pk", "started_at"))
    ids = (incident.pk, *merged)
    linked = IncidentEpisode.objects.filter(incident__in=ids).order_by("episode_id").distinct()
    episodes = dict(linked.values_list("episode_id", "episode__service")[:EPISODES])
    began = min([incident.started_at, *merged.values()])
    ended = incident.resolved_at
    return Scope(
        incident_id=incident.pk,
        merged=tuple(merged),
        services=_services(ids, episodes.values()),
        episodes=tuple(episodes),
        context_from=began - CONTEXT,
        began=began,
        ends=min(now, ended + AFTERMATH) if ended else now,
    )


def _services(incidents: Sequence[int], suffering: Iterable[str]) -> tuple[str, ...]:
    named = IncidentThing.objects.filter(incident__in=incidents, kind="service").values_list("ref", flat=True)
    return tuple(sorted({*named, *suffering} - {""}))


def _stands(incident: Incident, scope: Scope) -> dict[str, Any]:
    """How collecting stands. With other services, alerts or another start everything is read again, and lines of what
    is no longer part of it go.
    """
    about = plain([scope.services, scope.episodes, scope.merged, scope.began.isoformat()])
    known = incident.collected
    if known.get("scope") == about:
        return {"scope": about, "read_to": dict(known["read_to"]), "problems": dict(known["problems"])}
    if known:
        _forget(scope)
    return {"scope": about, "read_to": {}, "problems": {}}


def _forget(scope: Scope) -> None:
    """Take out lines of services and alerts that were taken out. What people pinned or hid stays as it is."""
    rows = TimelineEntry.objects.filter(incident=scope.incident_id, pinned=False, hidden=False)
    rows = rows.filter(source__in=[name for name in SOURCES if name != "incident"])
    early = Q(at__lt=scope.context_from) | Q(at__gt=scope.ends)
    gone = [pk for pk, detail in rows.values_list("pk", "detail") if not _of(scope, detail)]
    gone += (
        rows.filter(early)
        .exclude(source__in=[s.name for s in SOURCES.values() if s.whole])
        .values_list("pk", flat=True)
    )
    for ids in chunks(gone):
        TimelineEntry.objects.filter(pk__in=ids).delete()


def _of(scope: Scope, detail: Mapping[str, Any]) -> bool:
    if "episode" in detail:
        return detail["episode"] in scope.episodes
    return "service" not in detail or detail["service"] in scope.services


# --- one source ---------------------------------------------------------------------------------
def _read(source: Source, scope: Scope, stands: dict[str, Any]) -> int:
    """Whatever goes wrong in it is said on the page, and stops no other."""
    try:
        changed = _read_on(source, scope, stands["read_to"])
    except Exception as error:
        log.exception("timeline.source_failed", incident_id=scope.incident_id, source=source.name)
        stands["problems"][source.name] = type(error).__name__
        return 0
    stands["problems"].pop(source.name, None)
    return changed


def _read_on(source: Source, scope: Scope, read_to: dict[str, str]) -> int:
    earliest = scope.context_from if source.context else scope.began
    changed, since = 0, earliest
    if not source.whole and source.name in read_to:
        since = max(earliest, datetime.fromisoformat(read_to[source.name]) - OVERLAP)
    for _round in range(1 if source.whole else ROUNDS):
        helping, read = _helping(source, scope, Span(since, scope.ends))
        changed += helping
        if read is None:
            read_to[source.name] = scope.ends.isoformat()
            break
        since = read
        # There the next collecting goes on, without looking back.
        read_to[source.name] = (read + OVERLAP).isoformat()
    return changed


@transaction.atomic
def _helping(source: Source, scope: Scope, span: Span) -> tuple[int, datetime | None]:
    """How many lines changed, and where to go on when there is more."""
    Incident.objects.select_for_update(no_key=True).filter(pk=scope.incident_id).values_list("pk").first()
    facts = [_clean(fact) for fact in source.find(scope, span)]
    changed = sum(_write(scope.incident_id, source.name, batch) for batch in chunks(facts))
    if source.whole or len(facts) < span.limit:
        return changed, None
    last = facts[-1].at
    # More in one minute than a helping takes: the rest of it is left out rather than read for ever.
    return changed, last if last > span.since else span.since + timedelta(minutes=1)


def _clean(fact: Fact) -> Fact:
    """Texts come from outside: what a database cannot store is taken out of them."""
    return Fact(
        ref=clean_text(fact.ref, 200),
        at=fact.at,
        what=clean_text(fact.what, 48),
        detail=plain(fact.detail),
        url=clean_text(fact.url, 300),
        actor=clean_text(fact.actor, 200),
        grows=fact.grows,
        weak=fact.weak,
    )


def _write(incident_id: int, source: str, facts: Sequence[Fact]) -> int:
    """What is pinned or hidden stays so: only what the fact says is written."""
    mine = {fact.ref: fact for fact in facts}
    rows = TimelineEntry.objects.filter(incident=incident_id, source=source, ref__in=list(mine))
    known = {row.ref: row for row in rows}
    new = [_entry(incident_id, source, fact) for ref, fact in mine.items() if ref not in known]
    other = list(_changed(known, mine))
    TimelineEntry.objects.bulk_create(new, batch_size=500)
    TimelineEntry.objects.bulk_update(other, KEPT, batch_size=200)
    return len(new) + len(other)


def _entry(incident_id: int, source: str, fact: Fact) -> TimelineEntry:
    return TimelineEntry(incident_id=incident_id, source=source, ref=fact.ref, **_said(fact))


def _said(fact: Fact) -> dict[str, Any]:
    return {name: getattr(fact, name) for name in KEPT}


def _changed(known: Mapping[str, TimelineEntry], facts: Mapping[str, Fact]) -> Iterable[TimelineEntry]:
    for ref, row in known.items():
        fact = facts[ref]
        if not fact.weak and not _shrank(row, fact) and any(getattr(row, n) != v for n, v in _said(fact).items()):
            for name, value in _said(fact).items():
                setattr(row, name, value)
            yield row


def _shrank(row: TimelineEntry, fact: Fact) -> bool:
    return fact.grows and int(fact.detail.get("count", 0)) < int(row.detail.get("count", 0))
