"""Reading dead letters: by cause, as a list, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from django.db.models import Count, Max, Min, OuterRef, Q, QuerySet, Subquery, Value
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from apps.core.clock import now
from apps.core.errors import Invalid, NotFound
from apps.core.pagination import Page, page_by_id
from apps.outbox.deadletters.selection import ASLEEP, Selection, causes_like
from apps.outbox.models import (
    Cause,
    DeadLetter,
    DeadLetterState,
    DeathReason,
    Message,
    ReplayItem,
    Triage,
    TriageMark,
    TriageState,
)

TREND_STEP: Final = timedelta(minutes=5)
TREND_STEPS: Final = 12
OPEN: Final = Q(state=DeadLetterState.OPEN)
# What causes can be ordered by, and whether the largest comes first.
SORTS: Final = {"letters": True, "last": True, "first": False, "tenants": True}
SHOWS: Final = ("all", "awake", "snoozed")
HISTORY: Final = 50
MOST_GROUPS: Final = 10_000
TAKEN: Final = (ReplayItem.State.WAITING, ReplayItem.State.RELEASED)


@dataclass(frozen=True, slots=True)
class CauseSummary:
    """The open letters of one cause. ``trend`` counts its deaths (open or not) per 5 minutes over the
    last hour, oldest first. ``known_since`` is when this cause was first seen at all. ``assignee`` is one
    of the ``assignees`` (so many people), who look after ``assigned`` letters.
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
    assignee: str = ""
    assignees: int = 0
    assigned: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseFilters:
    """Which open letters are grouped, and how the groups are ordered. ``show`` all, awake or snoozed ones."""

    service: str = ""
    tenant_id: str = ""
    fingerprint: str = ""
    assignee: str = ""
    unassigned: bool = False
    text: str = ""
    show: str = "all"
    sort: str = "letters"

    def check(self) -> None:
        for name, value, known in (("sort", self.sort, SORTS), ("show", self.show, SHOWS)):
            if value not in known:
                raise Invalid.field(name, _("must be one of {words}").format(words=", ".join(known)))

    def letters(self) -> QuerySet[DeadLetter]:
        """Snoozed ones too: a group says how many it has."""
        given = {"service": self.service, "tenant_id": self.tenant_id, "cause_id": self.fingerprint}
        letters = DeadLetter.objects.filter(OPEN, **{name: value for name, value in given.items() if value})
        if self.assignee or self.unassigned:
            letters = letters.filter(assignee="" if self.unassigned else self.assignee)
        if self.text:
            letters = letters.filter(cause__in=causes_like(self.text).values("pk"))
        return letters


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Groups(Generic[Item]):
    """A page of groups; ``next_cursor`` continues behind the last."""

    items: list[Item]
    next_cursor: str | None


def causes(
    *, service: str = "", tenant_id: str = "", fingerprint: str = "", snoozed: bool = True, limit: int = 100
) -> list[CauseSummary]:
    """Open letters grouped by cause, the largest group first. ``snoozed=False`` leaves snoozed ones out."""
    show = "all" if snoozed else "awake"
    filters = CauseFilters(service=service, tenant_id=tenant_id, fingerprint=fingerprint, show=show)
    return cause_page(filters, limit=limit).items


def cause_page(filters: CauseFilters, *, cursor: str = "", limit: int = 50) -> Groups[CauseSummary]:
    """Open letters grouped by cause; raises :class:`Invalid` for an order or a cursor there is none of."""
    filters.check()
    # The database has to make all groups to order them; a time compares alike on every database only in Python.
    groups = list(_grouped(filters)[:MOST_GROUPS])
    found = _behind(groups, filters.sort, cursor)[: limit + 1] if cursor else groups[: limit + 1]
    shown = found[:limit]
    last = f"{_plain(shown[-1][filters.sort])}~{shown[-1]['cause_id']}" if len(found) > limit else None
    return Groups(_summaries(shown), last)


def cause(fingerprint: str) -> CauseSummary:
    """One cause with open letters; raises :class:`NotFound`."""
    found = causes(fingerprint=fingerprint, limit=1)
    if not found:
        text = _("No open dead letter has the cause {cause}. All may have been replayed or discarded.")
        raise NotFound(text.format(cause=fingerprint))
    return found[0]


def _grouped(filters: CauseFilters) -> Any:
    """One pass over an index that holds all it asks for (dead_letter_open_groups)."""
    shown = {"all": None, "awake": ~ASLEEP, "snoozed": ASLEEP}[filters.show]
    among = shown if shown is not None else Q(pk__isnull=False)
    order = f"-{filters.sort}" if SORTS[filters.sort] else filters.sort
    groups = (
        filters.letters()
        .order_by()
        .values("cause_id")
        .annotate(
            letters=Count("id", filter=shown),
            tenants=Count("tenant_id", distinct=True, filter=shown),
            ambiguous_letters=Count("id", filter=Q(ambiguous=True) & among),
            snoozed=Count("id", filter=ASLEEP),
            first=Min("died_at", filter=shown),
            last=Max("died_at", filter=shown),
            sample_id=Max("id", filter=shown),
            assigned=Count("id", filter=~Q(assignee="") & among),
            people=Count("assignee", distinct=True, filter=~Q(assignee="") & among),
            somebody=Max("assignee", filter=shown),
        )
        .order_by(order, "cause_id")
    )
    return groups if shown is None else groups.filter(letters__gt=0)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _behind(groups: list[Mapping[str, Any]], sort: str, cursor: str) -> list[Mapping[str, Any]]:
    """The groups that stand behind the cursor in the order of ``sort``."""
    text, _mark, fingerprint = cursor.partition("~")
    value: Any = parse_datetime(text) if sort in ("first", "last") else int(text) if text.isdigit() else None
    if value is None or not fingerprint:
        raise Invalid.field("cursor", _("is not one: take next_cursor of the page before, or leave it out"))

    def is_behind(group: Mapping[str, Any]) -> bool:
        if group[sort] == value:
            return bool(group["cause_id"] > fingerprint)
        return bool(group[sort] < value if SORTS[sort] else group[sort] > value)

    return [group for group in groups if is_behind(group)]


def _summaries(groups: list[Mapping[str, Any]]) -> list[CauseSummary]:
    marks = [group["cause_id"] for group in groups]
    # Not by a join: a letter without the row of its cause is shown too.
    entry = Cause.objects.filter(pk=OuterRef("cause_id"))
    words, since = Subquery(entry.values("message")), Subquery(entry.values("first_seen"))
    letters = DeadLetter.objects.select_related("message").annotate(cause_words=words, cause_since=since)
    samples = letters.in_bulk([group["sample_id"] for group in groups])
    trends = _trends(marks)
    return [_summary(group, samples[group["sample_id"]], trends) for group in groups if group["sample_id"] in samples]


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


def _summary(group: Mapping[str, Any], sample: Any, trends: Mapping[str, list[int]]) -> CauseSummary:
    """``sample`` is a letter with the words of its cause and since when that is known."""
    return CauseSummary(
        fingerprint=group["cause_id"],
        service=sample.service,
        error_class=sample.error_class,
        status_code=sample.status_code,
        message=sample.error[:300] if sample.cause_words is None else sample.cause_words,
        letters=group["letters"],
        tenants=group["tenants"],
        ambiguous=group["ambiguous_letters"],
        snoozed=group["snoozed"],
        first_seen=group["first"],
        last_seen=group["last"],
        known_since=min(sample.cause_since or group["first"], group["first"]),
        sample=sample,
        trend=trends.get(group["cause_id"], [0] * TREND_STEPS),
        assignee=group["somebody"] or "",
        assignees=group["people"],
        assigned=group["assigned"],
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
    unassigned: bool = False
    replay_id: int | None = None
    message_id: int | None = None
    snoozed: bool | None = None
    text: str = ""

    def queryset(self) -> QuerySet[DeadLetter]:
        """Raises :class:`Invalid` for a state or reason there is none of."""
        for name, value, known in (("state", self.state, DeadLetterState), ("reason", self.reason, DeathReason)):
            if value and value not in known.values:
                raise Invalid.field(name, _("must be one of {words}").format(words=", ".join(known.values)))
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
        if self.unassigned:
            letters = letters.filter(assignee="")
        if self.text:
            letters = letters.filter(cause__in=causes_like(self.text).values("pk"))
        return letters if self.snoozed is None else letters.filter(ASLEEP if self.snoozed else ~ASLEEP)

    def selection(self) -> Selection | None:
        """The same as a selection of open letters, for a verb on all of them; None when they are not open."""
        if self.state != DeadLetterState.OPEN or self.replay_id or self.message_id:
            return None
        chosen = Selection(
            cause=self.cause,
            service=self.service,
            tenant_id=self.tenant_id or None,
            reason=self.reason,
            status_code=self.status_code,
            assignee=self.assignee,
            unassigned=self.unassigned,
            snoozed=self.snoozed,
            text=self.text,
        )
        return chosen if chosen.as_dict() else replace(chosen, everything=True)


def list_dead_letters(filters: LetterFilters, *, cursor: int | None = None, limit: int = 50) -> Page[DeadLetter]:
    """A page of letters with their causes, newest first."""
    return page_by_id(filters.queryset().select_related("cause"), cursor=cursor, limit=limit)


@dataclass(frozen=True, slots=True)
class LetterDetail:
    """A letter, the other deaths of its message, the replays it was in, and what people did with it."""

    letter: DeadLetter
    other_deaths: list[DeadLetter]
    replays: list[ReplayItem]
    active_replay: int | None
    history: list[TriageMark]
    copy_id: int | None


def dead_letter_detail(dead_letter_id: int) -> LetterDetail:
    """One letter; raises :class:`NotFound`."""
    letter = DeadLetter.objects.select_related("message", "cause").filter(pk=dead_letter_id).first()
    if letter is None:
        text = _("There is no dead letter {id}. Its message may have been pruned.")
        raise NotFound(text.format(id=dead_letter_id))
    others = DeadLetter.objects.filter(message_id=letter.message_id).exclude(pk=letter.pk).order_by("id")
    items = list(ReplayItem.objects.filter(message_id=letter.message_id).select_related("replay").order_by("-id")[:50])
    active = [item.replay_id for item in items if item.dead_letter_id == letter.pk and item.state in TAKEN]
    copies = Message.objects.filter(edited_from=letter.message_id).order_by("-id").values_list("id", flat=True)
    return LetterDetail(
        letter, list(others[:50]), items, active[0] if active else None, history(letter.pk), copies.first()
    )


def history(dead_letter_id: int) -> list[TriageMark]:
    """What people did with a letter, newest first."""
    marks = TriageMark.objects.filter(letter_id=dead_letter_id).select_related("triage", "triage__undoes")
    return list(marks.order_by("-triage_id")[:HISTORY])


def get_triage(triage_id: int) -> Triage:
    """Raises :class:`NotFound`."""
    triage = Triage.objects.select_related("undoes").filter(pk=triage_id).first()
    if triage is None:
        raise NotFound(_("There is no triage {id}.").format(id=triage_id))
    return triage


def running_triages() -> list[Triage]:
    """What is being done to many letters right now."""
    return list(Triage.objects.filter(state=TriageState.RUNNING).order_by("id")[:5])


def snoozed_letters() -> int:
    """How many open letters are out of sight now."""
    return DeadLetter.objects.filter(OPEN).filter(ASLEEP).count()


def snoozed_and_died(minutes: int) -> tuple[int, int]:
    """How many letters are out of sight, and how many messages died in the last ``minutes`` minutes; one query."""
    recent = DeadLetter.objects.filter(died_at__gte=now() - timedelta(minutes=minutes))
    parts = ((0, DeadLetter.objects.filter(OPEN).filter(ASLEEP)), (1, recent))
    asleep, died = (
        letters.order_by().annotate(part=Value(part)).values_list("part").annotate(letters=Count("id"))
        for part, letters in parts
    )
    counts: dict[int, int] = dict(asleep.union(died, all=True))
    return counts.get(0, 0), counts.get(1, 0)


def newest_selected(selection: Selection) -> int:
    """The highest letter a selection means now; 0 when it means none."""
    found: int | None = selection.queryset().aggregate(newest=Max("id"))["newest"]
    return found or 0


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
