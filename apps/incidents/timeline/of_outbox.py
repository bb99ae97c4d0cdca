"""What happened to the messages of an incident's services: counts per minute, and what people did with dead letters.

Nothing here reads a message or an attempt: failures come from the counters the engine keeps, deaths from an index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Q
from django.db.models.functions import TruncMinute

from apps.incidents.timeline.facts import Fact, Scope, Span
from apps.outbox.models import Cause, DeadLetter, DeliveryMinute, Replay, Triage, TriageMark
from apps.outbox.replays.preparing import services_of

SLICE: Final = timedelta(hours=1)
# A minute in which everything dies of something else would make a timeline nobody reads.
CAUSES_A_MINUTE: Final = 10
# Jobs of people: few, and the newest are looked at.
JOBS: Final = 500
MINUTE: Final = timedelta(minutes=1)


def failures(scope: Scope, span: Span) -> list[Fact]:
    """Attempts that failed, per minute and service: exact counters. The minute still running is counted again later."""
    rows = DeliveryMinute.objects.filter(
        Q(failed__gt=0) | Q(timed_out__gt=0),
        service__in=scope.services,
        minute__gte=_minute(span.since),
        minute__lte=span.until,
    )
    return [_failed(row) for row in rows.order_by("minute", "service")[: span.limit]]


def _failed(row: DeliveryMinute) -> Fact:
    detail = {
        "service": row.service,
        "count": row.failed + row.timed_out,
        "timed_out": row.timed_out,
        "sent": row.sent,
    }
    ref, url = f"{row.service}:{row.minute:%Y%m%d%H%M}", f"/services/{row.service}"
    return Fact(ref=ref, at=row.minute, what="failures", detail=detail, url=url, grows=True)


def dead_letters(scope: Scope, span: Span) -> list[Fact]:
    """Deaths per minute, service and cause, an hour at a time, so that one statement never counts a whole day."""
    found: list[Fact] = []
    start = _minute(span.since)
    while start <= span.until and len(found) < span.limit and scope.services:
        end = min(start + SLICE, _minute(span.until) + MINUTE)
        found += _deaths(scope, start, end)
        start += SLICE
    return found


def _deaths(scope: Scope, start: datetime, end: datetime) -> list[Fact]:
    rows = (
        DeadLetter.objects.filter(service__in=scope.services, died_at__gte=start, died_at__lt=end)
        .annotate(minute=TruncMinute("died_at", tzinfo=UTC))
        .values("minute", "service", "cause_id")
        .annotate(letters=Count("pk"))
        .order_by("minute", "service", "-letters", "cause_id")
    )
    groups: dict[tuple[datetime, str], list[tuple[str, int]]] = {}
    for row in rows:
        groups.setdefault((row["minute"], row["service"]), []).append((row["cause_id"], row["letters"]))
    named = {cause for causes in groups.values() for cause, _letters in causes[:CAUSES_A_MINUTE]}
    known = {cause.pk: cause for cause in Cause.objects.filter(pk__in=named)}
    return [fact for key, causes in groups.items() for fact in _died(key, causes, known)]


def _died(key: tuple[datetime, str], causes: list[tuple[str, int]], known: Mapping[str, Cause]) -> Iterator[Fact]:
    minute, service = key
    for cause, letters in causes[:CAUSES_A_MINUTE]:
        found = known.get(cause)
        detail = {
            "service": service,
            "count": letters,
            "cause": cause,
            "error_class": found.error_class if found else "",
            "status_code": found.status_code if found else None,
        }
        ref, url = f"{service}:{minute:%Y%m%d%H%M}:{cause}", f"/dead-letters/causes/{cause}"
        yield Fact(ref=ref, at=minute, what="dead_letters", detail=detail, url=url, grows=True)
    rest = causes[CAUSES_A_MINUTE:]
    if rest:
        detail = {"service": service, "count": sum(letters for _cause, letters in rest), "causes": len(rest)}
        ref, url = f"{service}:{minute:%Y%m%d%H%M}:others", f"/dead-letters?service={service}"
        yield Fact(ref=ref, at=minute, what="dead_letters", detail=detail, url=url)


def _minute(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(second=0, microsecond=0)


# --- replays --------------------------------------------------------------------------------------
def replays(scope: Scope, span: Span) -> list[Fact]:
    """Started and ended, with what became of the letters."""
    touched = Q(created_at__range=(span.since, span.until)) | Q(finished_at__range=(span.since, span.until))
    newest = Replay.objects.order_by("-pk").values("pk")[:JOBS]
    found: list[Fact] = []
    for row in Replay.objects.filter(touched, pk__in=list(newest.values_list("pk", flat=True))):
        services = [name for name in services_of_replay(row) if name in scope.services]
        if services:
            found += [fact for fact in _replay(row, services) if span.since <= fact.at <= span.until]
    return sorted(found, key=lambda fact: (fact.at, fact.ref))


def services_of_replay(row: Replay) -> list[str]:
    """As its selection says, where that is enough; else those of its letters."""
    given = str(row.selection.get("service") or "")
    if given:
        return [given]
    cause = Cause.objects.filter(pk=row.selection["cause"]).first() if row.selection.get("cause") else None
    return [cause.service] if cause else services_of(row)


def _replay(row: Replay, services: list[str]) -> Iterator[Fact]:
    yield replay_started(row, services)
    if row.finished_at is not None:
        counts = {name: getattr(row, name) for name in ("total", "sent", "failed", "skipped")}
        detail = {"replay": row.pk, "services": services, "service": services[0], "state": row.state, **counts}
        yield Fact(
            ref=f"{row.pk}:end", at=row.finished_at, what="replay_ended", detail=detail, url=f"/replays/{row.pk}"
        )


def replay_started(row: Replay, services: list[str]) -> Fact:
    detail = {"replay": row.pk, "services": services, "service": services[0], "total": row.total}
    detail |= {"reason": row.reason[:500]}
    at, url = row.created_at, f"/replays/{row.pk}"
    return Fact(ref=f"{row.pk}:start", at=at, what="replay_started", detail=detail, url=url, actor=row.created_by)


# --- triage ---------------------------------------------------------------------------------------
def triage(scope: Scope, span: Span) -> list[Fact]:
    """What people did with dead letters, one line for each time they pressed."""
    rows = Triage.objects.filter(pk__in=list(Triage.objects.order_by("-pk").values_list("pk", flat=True)[:JOBS]))
    rows = rows.filter(created_at__gte=span.since, created_at__lte=span.until).order_by("created_at", "pk")
    found = [(row, _service_of(row)) for row in rows[: span.limit]]
    return [_triaged(row, service) for row, service in found if service in scope.services]


def _service_of(row: Triage) -> str:
    """Of its selection, else of the first letter it touched."""
    given = str(row.selection.get("service") or "")
    if given:
        return given
    if row.selection.get("cause"):
        cause = Cause.objects.filter(pk=row.selection["cause"]).values_list("service", flat=True).first()
        return cause or ""
    letter = TriageMark.objects.filter(triage=row).order_by("pk").values_list("letter__service", flat=True).first()
    return letter or ""


def _triaged(row: Triage, service: str) -> Fact:
    detail: dict[str, Any] = {"service": service, "count": row.done, "text": row.text[:500], "assignee": row.assignee}
    detail |= {"verb": row.verb, "until": row.until.isoformat() if row.until else ""}
    at, url, who = row.created_at, f"/dead-letters/triage/{row.pk}", row.actor
    return Fact(ref=str(row.pk), at=at, what=f"triage_{row.verb}", detail=detail, url=url, actor=who)
