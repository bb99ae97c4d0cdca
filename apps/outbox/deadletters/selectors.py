"""Reading dead letters: by cause, as a list, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.functions import Now

from apps.core.clock import now
from apps.core.errors import Invalid, NotFound
from apps.core.pagination import Page, page_by_id
from apps.outbox.deadletters.selection import Selection
from apps.outbox.models import Cause, DeadLetter, DeadLetterState, DeathReason, ReplayItem

TREND_STEP: Final = timedelta(minutes=5)
TREND_STEPS: Final = 12
OPEN: Final = Q(state=DeadLetterState.OPEN)


@dataclass(frozen=True, slots=True)
class CauseSummary:
    """The open letters of one cause. ``trend`` counts its deaths (open or not) per 5 minutes over the
    last hour, oldest first. ``known_since`` is when this cause was first seen at all.
    """

    fingerprint: str
    service: str
    error_class: str
    status_code: int | None
    message: str
    letters: int
    tenants: int
    ambiguous: int
    snoozed: int
    first_seen: datetime
    last_seen: datetime
    known_since: datetime
    sample: DeadLetter
    trend: list[int] = field(default_factory=lambda: [0] * TREND_STEPS)


def causes(
    *, service: str = "", tenant_id: str = "", fingerprint: str = "", snoozed: bool = True, limit: int = 100
) -> list[CauseSummary]:
    """Open letters grouped by cause, the largest group first. ``snoozed=False`` leaves snoozed ones out."""
    letters = DeadLetter.objects.filter(OPEN)
    for name, value in {"service": service, "tenant_id": tenant_id, "cause_id": fingerprint}.items():
        letters = letters.filter(**{name: value}) if value else letters
    if not snoozed:
        letters = letters.exclude(snoozed_until__gt=Now())
    groups = list(_grouped(letters)[:limit])
    marks = [group["cause_id"] for group in groups]
    known = Cause.objects.in_bulk(marks)
    samples = DeadLetter.objects.select_related("message").in_bulk([group["sample_id"] for group in groups])
    trends = _trends(marks)
    return [_summary(group, known, samples, trends) for group in groups if group["sample_id"] in samples]


def cause(fingerprint: str) -> CauseSummary:
    """One cause with open letters; raises :class:`NotFound`."""
    found = causes(fingerprint=fingerprint, limit=1)
    if not found:
        raise NotFound(f"No open dead letter has the cause {fingerprint}. All may have been replayed or discarded.")
    return found[0]


def _grouped(letters: QuerySet[DeadLetter]) -> Any:
    return (
        letters.order_by()
        .values("cause_id")
        .annotate(
            letters=Count("id"),
            tenants=Count("tenant_id", distinct=True),
            ambiguous_letters=Count("id", filter=Q(ambiguous=True)),
            snoozed=Count("id", filter=Q(snoozed_until__gt=Now())),
            first=Min("died_at"),
            last=Max("died_at"),
            sample_id=Max("id"),
        )
        .order_by("-letters", "cause_id")
    )


def _trends(marks: list[str]) -> dict[str, list[int]]:
    end = now()
    start = end - TREND_STEPS * TREND_STEP
    steps = {
        f"step_{step}": Count(
            "id", filter=Q(died_at__gte=start + step * TREND_STEP, died_at__lt=start + (step + 1) * TREND_STEP)
        )
        for step in range(TREND_STEPS)
    }
    recent = DeadLetter.objects.filter(died_at__gte=start, cause_id__in=marks).order_by()
    rows = recent.values_list("cause_id").annotate(**steps)
    return {mark: list(counts) for mark, *counts in rows}


def _summary(
    group: Mapping[str, Any],
    known: Mapping[str, Cause],
    samples: Mapping[int, DeadLetter],
    trends: Mapping[str, list[int]],
) -> CauseSummary:
    sample = samples[group["sample_id"]]
    entry = known.get(group["cause_id"])
    return CauseSummary(
        fingerprint=group["cause_id"],
        service=sample.service,
        error_class=sample.error_class,
        status_code=sample.status_code,
        message=entry.message if entry else sample.error[:300],
        letters=group["letters"],
        tenants=group["tenants"],
        ambiguous=group["ambiguous_letters"],
        snoozed=group["snoozed"],
        first_seen=group["first"],
        last_seen=group["last"],
        known_since=min(entry.first_seen, group["first"]) if entry else group["first"],
        sample=sample,
        trend=trends.get(group["cause_id"], [0] * TREND_STEPS),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilters:
    """What a list of letters shows. An empty value shows all; ``snoozed`` None shows both."""

    state: str = DeadLetterState.OPEN
    service: str = ""
    cause: str = ""
    tenant_id: str = ""
    reason: str = ""
    status_code: int | None = None
    assignee: str = ""
    replay_id: int | None = None
    message_id: int | None = None
    snoozed: bool | None = None

    def queryset(self) -> QuerySet[DeadLetter]:
        """Raises :class:`Invalid` for a state or reason there is none of."""
        for name, value, known in (("state", self.state, DeadLetterState), ("reason", self.reason, DeathReason)):
            if value and value not in known.values:
                raise Invalid.field(name, f"must be one of {', '.join(known.values)}")
        exact = {
            "state": self.state,
            "service": self.service,
            "cause_id": self.cause,
            "tenant_id": self.tenant_id,
            "reason": self.reason,
            "assignee": self.assignee,
            "status_code": self.status_code,
            "replay_id": self.replay_id,
            "message_id": self.message_id,
        }
        letters = DeadLetter.objects.filter(**{name: value for name, value in exact.items() if value not in ("", None)})
        asleep = Q(snoozed_until__isnull=False, snoozed_until__gt=Now())
        return letters if self.snoozed is None else letters.filter(asleep if self.snoozed else ~asleep)


def list_dead_letters(filters: LetterFilters, *, cursor: int | None = None, limit: int = 50) -> Page[DeadLetter]:
    """A page of letters with their causes, newest first."""
    return page_by_id(filters.queryset().select_related("cause"), cursor=cursor, limit=limit)


@dataclass(frozen=True, slots=True)
class LetterDetail:
    """A letter, the other deaths of its message, and the replays it was in."""

    letter: DeadLetter
    other_deaths: list[DeadLetter]
    replays: list[ReplayItem]
    active_replay: int | None


def dead_letter_detail(dead_letter_id: int) -> LetterDetail:
    """One letter; raises :class:`NotFound`."""
    letter = DeadLetter.objects.select_related("message", "cause").filter(pk=dead_letter_id).first()
    if letter is None:
        raise NotFound(f"There is no dead letter {dead_letter_id}. Its message may have been pruned.")
    others = DeadLetter.objects.filter(message_id=letter.message_id).exclude(pk=letter.pk).order_by("id")
    items = list(ReplayItem.objects.filter(message_id=letter.message_id).select_related("replay").order_by("-id")[:50])
    active = [item.replay_id for item in items if item.dead_letter_id == letter.pk and item.state == "waiting"]
    return LetterDetail(letter, list(others[:50]), items, active[0] if active else None)


def open_letters() -> dict[str, int]:
    """How many letters are open, by service."""
    counted = DeadLetter.objects.filter(OPEN).order_by().values_list("service").annotate(letters=Count("id"))
    return dict(counted.order_by("service"))


def deaths_since(minutes: int) -> dict[str, int]:
    """How many messages died in the last ``minutes`` minutes, by service: is the queue growing?"""
    recent = DeadLetter.objects.filter(died_at__gte=now() - timedelta(minutes=minutes)).order_by()
    return dict(recent.values_list("service").annotate(letters=Count("id")).order_by("service"))


def count_selected(selection: Selection) -> int:
    """How many open letters a selection means now: what a button says before it is pressed."""
    return selection.queryset().count()
