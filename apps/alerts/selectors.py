"""Reading alerts: the list and its groups, one episode with all around it. Whatever is asked, few rows are looked at.

What is open is few by nature and read from an index of its own. What is over may be a million: it is read newest
first, in windows of :data:`LOOKED` episodes, and the page says how far it looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Case, Count, IntegerField, Max, Min, Q, QuerySet, TextField, Value, When, Window
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Substr
from django.utils.translation import gettext as _

from apps.alerts.episodes import OPEN_STATES, State
from apps.alerts.models import Episode
from apps.alerts.severity import Severity
from apps.core.errors import Invalid, NotFound

LOOKED: Final = 20_000
MOST_GROUPS: Final = 100
# As many as one press may act upon.
MOST_CHOSEN: Final = 2000
COUNTED: Final = 10_000
WORST_FIRST: Final = (
    *(Severity.CRITICAL, Severity.SECURITY, Severity.WARNING),
    *(Severity.UNKNOWN, Severity.NOTICE, Severity.INFO),
)
GROUPS: Final = ("name", "service", "source", "severity")
STATES: Final = ("", "firing", "recovering", "resolved", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeFilters:
    """``state`` empty means open: firing or recovering. ``acknowledged`` and ``quiet`` are None for either.

    ``quiet`` are those that page nobody now: suppressed, snoozed or outranked.
    """

    state: str = ""
    acknowledged: bool | None = None
    quiet: bool | None = None
    flapping: bool = False
    severity: str = ""
    source: str = ""
    service: str = ""
    name: str = ""
    fingerprint: str = ""
    assignee: str = ""
    unassigned: bool = False
    text: str = ""
    after: datetime | None = None
    before: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.state in ("", State.FIRING, State.RECOVERING)


@dataclass(frozen=True, slots=True)
class EpisodePage:
    """``next_cursor`` continues behind the last row. ``looked`` is set when the window ended before the page was full:
    so many episodes were looked through, down to the id ``down_to``.
    """

    items: Sequence[Episode]
    next_cursor: str | None
    newer: int = 0
    looked: int = 0
    down_to: int = 0

    @property
    def anchor(self) -> int:
        return max((episode.pk for episode in self.items), default=0)


@dataclass(frozen=True, slots=True)
class Group:
    value: str
    total: int
    firing: int
    recovering: int
    unacknowledged: int
    worst: str
    first: datetime
    last: datetime


def is_unacknowledged(now: datetime) -> Q:
    """An acknowledgement that has run out is none, even before the sweep has ended it."""
    return Q(acknowledged_at__isnull=True) | Q(acknowledged_until__lte=now)


def is_quiet(now: datetime) -> Q:
    return Q(suppressed=True) | Q(snoozed_until__gt=now) | Q(outranked_by__state__in=OPEN_STATES)


def severity_rank() -> Case:
    whens = [When(severity=name, then=Value(rank)) for rank, name in enumerate(WORST_FIRST)]
    return Case(*whens, default=Value(len(WORST_FIRST)), output_field=IntegerField())


def chosen(filters: EpisodeFilters, now: datetime) -> QuerySet[Episode]:
    """The episodes that ``filters`` mean but for their text, in no order."""
    rows = Episode.objects.all()
    if filters.state == "":
        rows = rows.filter(state__in=OPEN_STATES)
    elif filters.state != "all":
        rows = rows.filter(state=filters.state)
    exact = {name: getattr(filters, name) for name in ("severity", "service", "name", "fingerprint", "assignee")}
    rows = rows.filter(**{name: value for name, value in exact.items() if value})
    if filters.source:
        rows = rows.filter(source_id=filters.source)
    if filters.unassigned:
        rows = rows.filter(assignee="")
    if filters.flapping:
        rows = rows.filter(flapping=True)
    for wanted, condition in ((filters.acknowledged, ~is_unacknowledged(now)), (filters.quiet, is_quiet(now))):
        if wanted is not None:
            rows = rows.filter(condition if wanted else ~condition)
    if filters.after:
        rows = rows.filter(first_seen_at__gte=filters.after)
    if filters.before:
        rows = rows.filter(first_seen_at__lt=filters.before)
    return rows


def _worded(rows: QuerySet[Episode], text: str) -> QuerySet[Episode]:
    """Every word is somewhere: in the name, the service, the source, the summary or a value of a label."""
    words = text.split()[:8]
    if words:
        rows = rows.annotate(labelled=Cast("labels", TextField()))
    for word in words:
        said = Q(name__icontains=word) | Q(service__icontains=word) | Q(source__name__icontains=word)
        rows = rows.filter(said | Q(summary__icontains=word) | Q(labelled__icontains=word))
    return rows


def described(rows: QuerySet[Episode]) -> QuerySet[Episode]:
    """Without the long texts; ``summary`` is the beginning of what the sender says of it."""
    long = ("annotations", "refired", "labels")
    related = [f"outranked_by__{name}" for name in long]
    return (
        rows.annotate(summary=Substr(KT("annotations__summary"), 1, 400))
        .select_related("outranked_by")
        .defer("annotations", "refired", *related)
    )


def episode_page(
    filters: EpisodeFilters, *, now: datetime, cursor: str = "", limit: int = 50, anchor: int | None = None
) -> EpisodePage:
    """Open ones by severity, the newest first; others newest first. ``anchor`` is the newest row that a page shows
    already: what came after it is counted in ``newer`` and left out. Raises Invalid for what is no cursor.
    """
    found = _open_page if filters.is_open else _any_page
    return found(filters, now=now, cursor=cursor, limit=limit, anchor=anchor)


def _open_page(filters: EpisodeFilters, *, now: datetime, cursor: str, limit: int, anchor: int | None) -> EpisodePage:
    rows = _rows(filters, now).annotate(rank=severity_rank())
    newer = 0
    if anchor is not None and not cursor:
        newer = rows.filter(pk__gt=anchor)[:COUNTED].count()
        rows = rows.filter(pk__lte=anchor) if newer else rows
    if cursor:
        rank, pk = _place(cursor)
        rows = rows.filter(Q(rank__gt=rank) | Q(rank=rank, pk__lt=pk))
    found = list(rows.select_related("escalation").order_by("rank", "-pk")[: limit + 1])
    items = found[:limit]
    more = f"{items[-1].rank}-{items[-1].pk}" if len(found) > limit else None
    return EpisodePage(items, more, newer)


def _any_page(filters: EpisodeFilters, *, now: datetime, cursor: str, limit: int, anchor: int | None) -> EpisodePage:
    newest = _place(cursor)[1] - 1 if cursor else _newest(filters)
    rows = _rows(filters, now).filter(pk__lte=newest)
    newer = 0
    if anchor is not None and not cursor:
        newer = rows.filter(pk__gt=anchor)[:COUNTED].count()
        rows = rows.filter(pk__lte=anchor) if newer else rows
    bottom = max(0, newest - LOOKED)
    found = list(rows.filter(pk__gt=bottom).select_related("escalation").order_by("-pk")[: limit + 1])
    items = found[:limit]
    if len(found) > limit:
        return EpisodePage(items, f"0-{items[-1].pk}", newer)
    if bottom and not _all_before(filters, bottom):
        return EpisodePage(items, f"0-{bottom + 1}", newer, looked=LOOKED, down_to=bottom + 1)
    return EpisodePage(items, None, newer)


def _rows(filters: EpisodeFilters, now: datetime) -> QuerySet[Episode]:
    return _worded(described(chosen(filters, now)), filters.text)


def _newest(filters: EpisodeFilters) -> int:
    """Where to begin: at the newest of all, or of those before the end of the time that is asked for."""
    rows = Episode.objects.order_by("-pk")
    if filters.before:
        rows = Episode.objects.filter(first_seen_at__lt=filters.before).order_by("-first_seen_at", "-pk")
    found = rows.values_list("pk", flat=True).first()
    # Rows of one transaction have one time and may be numbered in any order.
    return (found or 0) + (MOST_CHOSEN if filters.before else 0)


def _all_before(filters: EpisodeFilters, bottom: int) -> bool:
    """Nothing older can match: the time that is asked for begins after it."""
    if filters.after is None:
        return not Episode.objects.filter(pk__lte=bottom).exists()
    oldest = Episode.objects.filter(pk__lte=bottom).order_by("-pk").values_list("first_seen_at", flat=True).first()
    return oldest is None or oldest < filters.after


def _place(cursor: str) -> tuple[int, int]:
    rank, _mark, pk = cursor.partition("-")
    if not (rank.isascii() and rank.isdigit() and pk.isascii() and pk.isdigit() and len(rank) < 3 and len(pk) < 19):
        raise Invalid.field("cursor", _("is not one: take next_cursor of the page before, or leave it out"))
    return int(rank), int(pk)


def episode_groups(filters: EpisodeFilters, by: str, *, now: datetime) -> list[Group]:
    """What is open, by ``by`` (one of :data:`GROUPS`): the worst first, then the largest."""
    if by not in GROUPS:
        raise Invalid.field("group", _("must be one of {known}").format(known=", ".join(GROUPS)))
    column = "source_id" if by == "source" else by
    rows = _rows(filters, now).annotate(rank=severity_rank()).order_by().values(column)
    counted = rows.annotate(
        total=Count("pk"),
        firing=Count("pk", filter=Q(state=State.FIRING)),
        recovering=Count("pk", filter=Q(state=State.RECOVERING)),
        unacknowledged=Count("pk", filter=Q(state=State.FIRING) & is_unacknowledged(now)),
        worst=Min("rank"),
        first=Min("first_seen_at"),
        last=Max("first_seen_at"),
    )
    found = counted.order_by("worst", "-total", column)[:MOST_GROUPS]
    return [_group(row, column) for row in found]


def _group(row: dict[str, Any], column: str) -> Group:
    worst = row["worst"]
    return Group(
        value=row[column],
        total=row["total"],
        firing=row["firing"],
        recovering=row["recovering"],
        unacknowledged=row["unacknowledged"],
        worst=WORST_FIRST[worst] if worst < len(WORST_FIRST) else Severity.UNKNOWN,
        first=row["first"],
        last=row["last"],
    )


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """Of all that is open, whatever a page filters."""

    firing: int = 0
    recovering: int = 0
    unacknowledged: int = 0
    quiet: int = 0
    critical: int = 0


def open_counts(now: datetime) -> OpenCounts:
    """One look at the open episodes. ``unacknowledged`` and ``critical`` are firing and nobody's yet."""
    needing = Q(state=State.FIRING) & is_unacknowledged(now)
    urgent = Q(severity__in=(Severity.CRITICAL, Severity.SECURITY))
    found = Episode.objects.filter(state__in=OPEN_STATES).aggregate(
        firing=Count("pk", filter=Q(state=State.FIRING)),
        recovering=Count("pk", filter=Q(state=State.RECOVERING)),
        unacknowledged=Count("pk", filter=needing),
        quiet=Count("pk", filter=is_quiet(now)),
        critical=Count("pk", filter=needing & urgent),
    )
    return OpenCounts(**found)


def unacknowledged(now: datetime, limit: int) -> tuple[int, list[Episode]]:
    """How many fire and are nobody's yet, and the first of them: those that may page, the most severe first."""
    quiet = Case(When(is_quiet(now), then=Value(1)), default=Value(0), output_field=IntegerField())
    rows = described(Episode.objects.filter(is_unacknowledged(now), state=State.FIRING)).defer(
        "labels", "annotations", "refired"
    )
    ranked = rows.annotate(rank=severity_rank(), quiet=quiet, total=Window(Count("pk")))
    found = list(ranked.select_related("escalation").order_by("quiet", "rank", "-pk")[:limit])
    return (found[0].total if found else 0), [episode for episode in found if not episode.quiet]


def chosen_ids(filters: EpisodeFilters, *, now: datetime) -> list[int]:
    """All that ``filters`` mean; raises Invalid when they are more than one press may act upon."""
    rows = _rows(filters, now).order_by("-pk").values_list("pk", flat=True)
    found = list(rows[: MOST_CHOSEN + 1])
    if len(found) > MOST_CHOSEN:
        text = _("means more than {most} alerts: narrow the filters, and do it in parts")
        raise Invalid.field("filters", text.format(most=MOST_CHOSEN))
    return found


def count_chosen(filters: EpisodeFilters, *, now: datetime) -> int:
    """At most :data:`COUNTED`."""
    return _rows(filters, now).order_by()[:COUNTED].count()


def find_episode(episode_id: int) -> Episode:
    """With its source, its escalation and its neighbours in time; raises :class:`NotFound`."""
    rows = Episode.objects.select_related("source", "escalation__held_by", "outranked_by", "previous")
    episode = rows.filter(pk=episode_id).first() if 0 < episode_id < 2**63 else None
    if episode is None:
        raise NotFound(_("There is no alert {number}. It may have been pruned.").format(number=episode_id))
    return episode


def find_episodes(ids: Sequence[int]) -> list[Episode]:
    """Those that are there, newest first, without their long texts."""
    return list(Episode.objects.filter(pk__in=ids).defer("annotations", "refired", "labels").order_by("-pk"))
