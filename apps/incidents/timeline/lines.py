"""A timeline as it is read: each line in the reader's language, a page at a time, like lines folded into one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.core import human
from apps.core.errors import Invalid
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.timeline.of_incident import HAND
from apps.incidents.timeline.sources import SOURCES, labels
from apps.incidents.timeline.words import kind_of, many_of, text_of, title_of, tone_of

PAGE: Final = 200
# What is counted by the minute: its time is the beginning of that minute.
PER_MINUTE: Final = ("failures", "dead_letters")
# So many like lines in a row are one that unfolds; of counts two are enough.
RUN: Final = 3
RUN_OF_COUNTS: Final = 2
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line. ``precision`` is "exact" (``at`` to the microsecond, as its source kept it) or "minute".

    ``title`` and ``text`` are in the language that is active; both may hold what came from outside, so they are text,
    never markup. ``url`` is a path of the portal, or for a line of a person also http(s); empty without one.
    """

    id: int
    at: datetime
    precision: str
    source: str
    what: str
    icon: str
    tone: str
    title: str
    text: str
    url: str
    actor: str
    pinned: bool
    hidden: bool
    by_hand: bool
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exact(self) -> str:
        """The whole of its time, with zone and microseconds, or the minute it was counted in."""
        if self.precision == "minute":
            return _("counted in the minute of {time}").format(time=human.exact(self.at))
        shown = human.exact(self.at)
        return f"{shown[:19]}.{self.at:%f}{shown[19:]}"

    @property
    def datetime(self) -> str:
        """For a machine: HTML knows no more than three digits of a second."""
        return f"{self.at.astimezone(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"

    @property
    def service(self) -> str:
        return str(self.detail.get("service") or "")

    @property
    def label(self) -> str:
        """The word for where it comes from."""
        if self.by_hand:
            return _("Note")
        return str(SOURCES[self.source].label) if self.source in SOURCES else self.source

    @property
    def outside(self) -> bool:
        """Does its link leave the portal?"""
        return bool(self.url) and not self.url.startswith("/")


@dataclass(frozen=True, slots=True)
class Page:
    """``next_cursor`` goes on behind the last line; None on the last page."""

    items: list[Line]
    next_cursor: str | None


def lines(
    incident: Incident,
    *,
    hidden: bool = False,
    pinned: bool = False,
    sources: Sequence[str] = (),
    newest_first: bool = False,
    limit: int | None = None,
) -> list[Line]:
    """The lines of an incident in order; those that people hid only with ``hidden``. All of ``sources`` when empty."""
    rows = _chosen(incident, hidden=hidden, pinned=pinned, sources=sources)
    return [_line(row) for row in _ordered(rows, newest_first)[:limit]]


def page(
    incident: Incident,
    *,
    hidden: bool = False,
    pinned: bool = False,
    sources: Sequence[str] = (),
    newest_first: bool = False,
    cursor: str = "",
    limit: int = PAGE,
) -> Page:
    """The same, ``limit`` lines at a time. Raises Invalid for a cursor that is none of ours."""
    rows = _chosen(incident, hidden=hidden, pinned=pinned, sources=sources)
    if cursor:
        rows = _behind(rows, cursor, newest_first)
    found = list(_ordered(rows, newest_first)[: limit + 1])
    shown = found[:limit]
    return Page([_line(row) for row in shown], cursor_of(shown[-1]) if len(found) > limit else None)


def _chosen(incident: Incident, *, hidden: bool, pinned: bool, sources: Sequence[str]) -> QuerySet[TimelineEntry]:
    rows = TimelineEntry.objects.filter(incident=incident)
    if not hidden:
        rows = rows.filter(hidden=False)
    if pinned:
        rows = rows.filter(pinned=True)
    return rows.filter(source__in=sources) if sources else rows


def _ordered(rows: QuerySet[TimelineEntry], newest_first: bool) -> QuerySet[TimelineEntry]:
    return rows.order_by("-at", "-pk") if newest_first else rows.order_by("at", "pk")


def cursor_of(row: TimelineEntry) -> str:
    """In microseconds, and the row: two lines of one instant are told apart."""
    return f"{(row.at - EPOCH) // timedelta(microseconds=1)}-{row.pk}"


def _behind(rows: QuerySet[TimelineEntry], cursor: str, newest_first: bool) -> QuerySet[TimelineEntry]:
    moment, _dash, number = cursor.partition("-")
    if not (moment.isascii() and moment.isdigit() and number.isascii() and number.isdigit() and len(cursor) < 40):
        raise Invalid.field("cursor", _("is not one: take next_cursor of the page before, or leave it out"))
    try:
        at, pk = EPOCH + timedelta(microseconds=int(moment)), min(int(number), 2**63 - 1)
    except OverflowError:
        raise Invalid.field("cursor", _("is not one: take next_cursor of the page before, or leave it out")) from None
    if newest_first:
        return rows.filter(Q(at__lt=at) | Q(at=at, pk__lt=pk))
    return rows.filter(Q(at__gt=at) | Q(at=at, pk__gt=pk))


def _line(row: TimelineEntry) -> Line:
    by_hand = row.source == HAND
    return Line(
        id=row.pk,
        at=row.at,
        precision="minute" if row.what in PER_MINUTE else "exact",
        source=row.source,
        what=row.what,
        icon=kind_of(row.what).icon,
        tone=tone_of(row.what, row.detail),
        title=row.text if by_hand else title_of(row.what, row.detail),
        text="" if by_hand else text_of(row.what, row.detail),
        url=row.url,
        actor=row.actor,
        pinned=row.pinned,
        hidden=row.hidden,
        by_hand=by_hand,
        detail=row.detail,
    )


# --- what there is --------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Tally:
    """How many lines a source has, the hidden ones aside."""

    name: str
    label: str
    lines: int


def tallies(incident: Incident) -> tuple[list[Tally], int, int]:
    """Of each source that has lines, and how many lines are pinned and how many hidden; one query."""
    rows = TimelineEntry.objects.filter(incident=incident).order_by()
    shown, hidden = Q(hidden=False), Q(hidden=True)
    found = rows.values("source").annotate(
        shown=Count("pk", filter=shown), hid=Count("pk", filter=hidden), pins=Count("pk", filter=shown & Q(pinned=True))
    )
    by_name = {row["source"]: row for row in found}
    names = {**labels(), **{name: name for name in by_name if name not in SOURCES and name != HAND}}
    counted = [Tally(name, label, by_name[name]["shown"]) for name, label in names.items() if name in by_name]
    pins, hid = sum(row["pins"] for row in by_name.values()), sum(row["hid"] for row in by_name.values())
    return [tally for tally in counted if tally.lines], pins, hid


def problems(incident: Incident) -> list[tuple[str, str]]:
    """The sources that could not be read last time, by label, each with the class of its error."""
    known = labels()
    found = incident.collected.get("problems", {})
    return [(known.get(name, name), why) for name, why in sorted(found.items())]


# --- folding --------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Lines that say the same of several moments, as one. ``lines`` are in the order they are read."""

    lines: list[Line]
    title: str
    since: datetime
    until: datetime

    @property
    def first(self) -> Line:
        return self.lines[0]

    @property
    def key(self) -> int:
        """The same while it grows at its newer end."""
        return min(self.lines, key=lambda line: (line.at, line.id)).id


Row = Line | Fold


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of the reader's clock, and what happened in it."""

    at: datetime
    rows: list[Row]


def folded(items: Sequence[Line]) -> list[Row]:
    """Runs of like lines as one. Counts per minute are a run as long as nothing else happens between them, also those
    of several services at once; other lines when they follow each other.
    """
    rows: list[Row] = []
    for run in _runs(items):
        rows += _by_kind(run)
    return rows


def _runs(items: Iterable[Line]) -> Iterable[list[Line]]:
    run: list[Line] = []
    for line in items:
        if run and not _goes_on(run[-1], line):
            yield run
            run = []
        run.append(line)
    if run:
        yield run


def _goes_on(before: Line, line: Line) -> bool:
    if "minute" in (before.precision, line.precision):
        return before.precision == line.precision and not (before.pinned or line.pinned)
    return _key(before) == _key(line) and _foldable(before) and _foldable(line)


def _foldable(line: Line) -> bool:
    return not line.pinned and kind_of(line.what).many is not None


def _key(line: Line) -> tuple[Any, ...]:
    service = line.service if line.precision == "minute" or line.source == "breakers" else ""
    return (line.what, service, line.hidden, line.tone, line.detail.get("target"))


def _by_kind(run: Sequence[Line]) -> list[Row]:
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for line in run:
        groups.setdefault(_key(line), []).append(line)
    rows: list[Row] = []
    for lines_of in groups.values():
        enough = RUN_OF_COUNTS if lines_of[0].precision == "minute" else RUN
        rows += [_fold(lines_of)] if len(lines_of) >= enough else lines_of
    return rows


def _fold(run: list[Line]) -> Fold:
    times = [line.at for line in run]
    title = many_of(run[0].what, [line.detail for line in run])
    return Fold(lines=run, title=title, since=min(times), until=max(times))


def by_hour(rows: Sequence[Row]) -> list[Hour]:
    """Under headings of hours; a fold stands where it is first read."""
    hours: list[Hour] = []
    for row in rows:
        at = row.at if isinstance(row, Line) else row.first.at
        hour = timezone.localtime(at).replace(minute=0, second=0, microsecond=0)
        if not hours or hours[-1].at != hour:
            hours.append(Hour(hour, []))
        hours[-1].rows.append(row)
    return hours
