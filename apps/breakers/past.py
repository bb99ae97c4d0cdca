"""The last days of a breaker, as they are stored: what :mod:`apps.breakers.whatif` replays. Seconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from apps.breakers.history import HISTORY_MS
from apps.breakers.machine import Kind, Rule
from apps.breakers.models import BreakerEvent, HistoryBucket, SharedBreaker
from apps.breakers.selectors import database_ms
from apps.breakers.whatif import Cell, Opening, ProbeEnd, Span, replay
from apps.breakers.window import Counts

RESOLUTION_S: Final = HISTORY_MS / 1000
DAY_S: Final = 86_400
MOST_EVENTS: Final = 20_000
FORCED_OPEN: Final = 1  # as an ended override names it


@dataclass(frozen=True, slots=True)
class Past:
    """From ``since`` to ``until``. ``openings`` are the real ones, ``shut`` every span in which it let nothing
    through but tests, overrides included. ``known_from`` is the first bucket there is, None without any.
    """

    since: float
    until: float
    cells: list[Cell] = field(default_factory=list)
    tests: list[ProbeEnd] = field(default_factory=list)
    shut: list[Span] = field(default_factory=list)
    openings: list[Opening] = field(default_factory=list)

    @property
    def known_from(self) -> float | None:
        return self.cells[0].at if self.cells else None

    @property
    def shut_seconds(self) -> float:
        return sum(min(end, self.until) - max(start, self.since) for start, end in self.shut)

    def replayed(self, rule: Rule) -> list[Opening]:
        """When ``rule`` would have opened it."""
        return replay(rule, self.cells, self.tests, self.shut, resolution=RESOLUTION_S)


def past(name: str, *, days: int) -> Past:
    """What is known of the last ``days`` days; nothing for a breaker that was never used. Four queries at most."""
    now = database_ms() / 1000
    since = now - days * DAY_S
    breaker = SharedBreaker.objects.filter(name=name).first()
    if breaker is None:
        return Past(since, now)
    events = BreakerEvent.objects.filter(breaker=breaker, kind__in=STORIES)
    before = events.filter(at__lt=int(since * 1000)).order_by("-id").first()
    rows = list(events.filter(at__gte=int(since * 1000)).order_by("id")[:MOST_EVENTS])
    story = _Story(since)
    story.tell([*([before] if before else []), *rows])
    return Past(since, now, _cells(breaker.pk, since), story.tests, story.spans(now), story.openings)


def _cells(breaker_id: int, since: float) -> list[Cell]:
    rows = HistoryBucket.objects.filter(breaker_id=breaker_id, at__gte=int(since * 1000)).order_by("at")
    return [
        Cell(at / 1000, Counts(ok, fail, timeout, slow, rejected))
        for at, ok, fail, timeout, slow, rejected in rows.values_list(
            "at", "ok", "fail", "timeout", "slow", "rejected"
        ).iterator(chunk_size=5000)
    ]


OPENS: Final = (Kind.OPENED, Kind.REOPENED, Kind.FORCED_OPEN)
CLOSES: Final = (Kind.CLOSED, Kind.RESET, Kind.FORCED_CLOSED, Kind.METRICS_ONLY)
STORIES: Final = tuple(kind.value for kind in (*OPENS, *CLOSES, Kind.OVERRIDE_ENDED))


class _Story:
    """What the events of a breaker say about when it was open."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.tests: list[ProbeEnd] = []
        self.openings: list[Opening] = []
        self._shut: list[Span] = []
        self._shut_from: float | None = None

    def tell(self, events: Iterable[BreakerEvent]) -> None:
        for event in events:
            self._next(event.kind, event.at / 1000, event.detail)

    def spans(self, now: float) -> list[Span]:
        return [*self._shut, *([] if self._shut_from is None else [(self._shut_from, now)])]

    def _next(self, kind: str, at: float, detail: Any) -> None:
        seen = at >= self.since
        if kind in OPENS and self._shut_from is None:
            self._shut_from = max(at, self.since)
        if kind == Kind.OPENED and seen:
            self.openings.append(Opening(at, counts=_counts(detail)))
        if seen and kind in (Kind.CLOSED, Kind.REOPENED):
            self.tests.append(ProbeEnd(at, kind == Kind.CLOSED))
        if kind == Kind.REOPENED:
            self._last(lambda opening: replace(opening, failed_tests=opening.failed_tests + 1))
        if kind in CLOSES or (kind == Kind.OVERRIDE_ENDED and detail.get("override") != FORCED_OPEN):
            self._closes(at)

    def _closes(self, at: float) -> None:
        if self._shut_from is not None and at > self._shut_from:
            self._shut.append((self._shut_from, at))
        self._shut_from = None
        self._last(lambda opening: replace(opening, until=at))

    def _last(self, change: Any) -> None:
        if self.openings and self.openings[-1].until is None:
            self.openings[-1] = change(self.openings[-1])


def _counts(detail: Any) -> Counts:
    known: dict[str, int] = detail.get("counts") or {}
    return Counts(**{name: int(value) for name, value in known.items() if name in Counts.__slots__})


def open_seconds(openings: Sequence[Opening], end: float) -> float:
    """Seconds of being open, all together."""
    return sum(opening.seconds(end) for opening in openings)
