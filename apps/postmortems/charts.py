"""The charts of a post-mortem, drawn from its stored facts. Pure geometry and words: a template makes SVG of it, the
PDF draws the same shapes. What facts do not say, or say in a way that makes no sense, is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import Any, Final

from django.utils import dateformat, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.core import human
from apps.core.charts import Span

WIDTH: Final = 720
HEIGHT: Final = 100
# What a table for screen readers may have without becoming a burden.
ROWS: Final = 24
MOST_POINTS: Final = 2000
MOST_MARKS: Final = 60
# The lesser side of the line has at least this share of the greater one.
NARROWEST: Final = 0.2
TONES: Final[Mapping[str, str]] = {
    "closed": "good",
    "open": "bad",
    "half_open": "warning",
    "forced_open": "bad",
    "forced_closed": "warning",
    "metrics_only": "unknown",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One step of time. ``y`` and ``height`` in units of the drawing; ``kind`` is sent, failed or died."""

    x: float
    y: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True, slots=True)
class Mark:
    """``kind`` is alert or deployment; ``number`` stands beside it in the list under the chart."""

    x: float
    at: datetime
    kind: str
    title: str
    number: int


@dataclass(frozen=True, slots=True)
class Row:
    """What the chart shows of a stretch of time, in words."""

    since: datetime
    until: datetime
    counts: tuple[int, ...]
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """``top`` is what the scale goes up to, ``bottom`` what it goes down to: 0 when nothing hangs below the line."""

    title: str
    label: str
    unit: str
    top: int
    bottom: int
    bars: Sequence[Bar]
    spans: Sequence[Span]
    marks: Sequence[Mark]
    columns: Sequence[str]
    rows: Sequence[Row]
    ticks: Sequence[datetime]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def scale(self) -> list[int]:
        return [self.top, 0, self.bottom] if self.bottom else [self.top, 0]

    @property
    def places(self) -> list[tuple[int, float]]:
        """Each value of the scale with how far down it stands."""
        return list(zip(self.scale, (0.0, self.zero, float(self.height)), strict=False))

    @property
    def zero(self) -> float:
        return _zero(self.top, self.bottom)

    @property
    def when(self) -> str:
        """How a time on the axis is written: with its day when there is more than one."""
        return "j M H:i" if self.ticks[-1] - self.ticks[0] > timedelta(days=1) else "H:i"

    def stretch(self, row: Row) -> str:
        """``10:00–10:05`` in the reader's zone."""
        return f"{self._words(row.since)}–{self._words(row.until)}"

    @property
    def tick_labels(self) -> list[str]:
        return [self._words(at) for at in self.ticks]

    def _words(self, at: datetime) -> str:
        return str(dateformat.format(timezone.localtime(at), self.when))

    @property
    def has_state(self) -> bool:
        return bool(self.spans)


@dataclass(frozen=True, slots=True)
class Axis:
    times: Sequence[datetime]
    start: datetime
    end: datetime
    marks: Sequence[Mark] = field(default_factory=tuple)

    @property
    def step(self) -> timedelta:
        return (self.end - self.start) / len(self.times)

    @property
    def unit(self) -> str:
        minutes = max(1, round(self.step.total_seconds() / 60))
        return ngettext("each minute", "each {n} minutes", minutes).format(n=minutes)

    def x(self, at: datetime) -> float:
        return round(WIDTH * ((at - self.start) / (self.end - self.start)), 1)


def charts_of(facts: Mapping[str, Any]) -> list[Chart]:
    """One for each service that sent or failed, then the dead letters of all of them. What failed hangs below a line,
    where anything did.
    """
    series = _mapping(facts.get("series"))
    axis = _axis(series)
    if axis is None:
        return []
    services = {str(name): _mapping(own) for name, own in _mapping(series.get("services")).items()}
    counts = {name: _counts(own, len(axis.times)) for name, own in services.items()}
    breakers = _mapping(series.get("breakers"))
    found = [_of_service(name, own, breakers.get(name), axis) for name, own in counts.items() if any(map(sum, own[:2]))]
    died = [sum(each) for each in zip(*(own[2] for own in counts.values()), strict=True)]
    return [*found, _of_letters(died, axis)] if sum(died) else found


def _axis(series: Mapping[str, Any]) -> Axis | None:
    times = [at for text in _list(series.get("times"))[:MOST_POINTS] if (at := _time(text)) is not None]
    start, step = _time(series.get("from")), series.get("step_s")
    if not times or start is None or not isinstance(step, int | float) or not 0 < step < 1e9:
        return None
    if any(later <= sooner for sooner, later in pairwise(times)):
        return None
    end = max(times[-1], start) + timedelta(seconds=step)
    return Axis(times, times[0], end, _marks(series.get("marks"), times[0], end))


def _marks(given: Any, start: datetime, end: datetime) -> tuple[Mark, ...]:
    known = [(at, each) for each in map(_mapping, _list(given)) if (at := _time(each.get("at"))) and start <= at < end]
    marks = []
    for number, (at, each) in enumerate(sorted(known, key=lambda item: item[0])[:MOST_MARKS], start=1):
        x = round(WIDTH * ((at - start) / (end - start)), 1)
        kind = "deployment" if each.get("kind") == "deployment" else "alert"
        marks.append(Mark(x, at, kind, str(each.get("title", "")), number))
    return tuple(marks)


def _of_service(name: str, counts: Sequence[Sequence[int]], states: Any, axis: Axis) -> Chart:
    sent, failed = counts[0], counts[1]
    top, bottom = _scale(max(sent), max(failed))
    spans = _spans(states, axis)
    text = _("{service}: {sent} sent and {failed} failed between {since} and {until}")
    label = text.format(
        service=name,
        sent=human.number(sum(sent)),
        failed=human.number(sum(failed)),
        since=_clock(axis.start),
        until=_clock(axis.end),
    )
    return Chart(
        title=name,
        label=label,
        unit=_("deliveries {each}").format(each=axis.unit),
        top=top,
        bottom=bottom,
        bars=[*_bars(sent, axis, top, bottom, "sent"), *_bars(failed, axis, top, bottom, "failed")],
        spans=[span for _at, _until, _word, span in spans],
        marks=axis.marks,
        columns=(_("Sent"), _("Failed")),
        rows=_rows((sent, failed), axis, [(at, until, word) for at, until, word, _span in spans]),
        ticks=_ticks(axis),
    )


def _of_letters(died: Sequence[int], axis: Axis) -> Chart:
    top = round_up(max(died))
    text = _("{count} dead letters between {since} and {until}")
    return Chart(
        title=_("Dead letters"),
        label=text.format(count=human.number(sum(died)), since=_clock(axis.start), until=_clock(axis.end)),
        unit=_("dead letters {each}").format(each=axis.unit),
        top=top,
        bottom=0,
        bars=_bars(died, axis, top, 0, "died"),
        spans=(),
        marks=axis.marks,
        columns=(_("Dead letters"),),
        rows=_rows((died,), axis, ()),
        ticks=_ticks(axis),
    )


def _scale(most_sent: int, most_failed: int) -> tuple[int, int]:
    """One scale for both sides of the line, and neither side so narrow that nothing is seen on it."""
    top, bottom = round_up(most_sent), round_up(most_failed) if most_failed else 0
    if not bottom:
        return top, 0
    return max(top, ceil(bottom * NARROWEST)), max(bottom, ceil(top * NARROWEST))


def _zero(top: int, bottom: int) -> float:
    """How far down the line is."""
    return round(HEIGHT * top / (top + bottom), 1)


def _bars(counts: Sequence[int], axis: Axis, top: int, bottom: int, kind: str) -> list[Bar]:
    """Failures hang below the line, everything else stands on it. One of many is still seen."""
    wide, room = WIDTH / len(counts), _zero(top, bottom)
    bars = []
    for at, count in zip(axis.times, counts, strict=True):
        if count > 0:
            tall = round(max(1.0, HEIGHT * count / (top + bottom)), 1)
            y = room if kind == "failed" else round(room - tall, 1)
            bars.append(Bar(axis.x(at), y, round(max(1.0, wide * 0.85), 1), tall, kind))
    return bars


def _spans(given: Any, axis: Axis) -> list[tuple[datetime, datetime, str, Span]]:
    found = []
    for each in map(_mapping, _list(given)[:MOST_POINTS]):
        since, until, state = _time(each.get("from")), _time(each.get("to")), str(each.get("state", ""))
        if since is None or until is None or until <= axis.start or since >= axis.end or until <= since:
            continue
        since, until = max(since, axis.start), min(until, axis.end)
        x, end = axis.x(since), axis.x(until)
        span = Span(min(x, WIDTH - 1.5), round(max(1.5, end - x), 1), TONES.get(state, "unknown"))
        found.append((since, until, state, span))
    return found


def _rows(counts: Sequence[Sequence[int]], axis: Axis, states: Sequence[tuple[datetime, datetime, str]]) -> list[Row]:
    each = -(-len(axis.times) // ROWS)
    rows = []
    for first in range(0, len(axis.times), each):
        until = axis.times[first + each] if first + each < len(axis.times) else axis.end
        since = axis.times[first]
        words = [state_words(word) for begins, ends, word in states if begins < until and ends > since]
        summed = tuple(sum(own[first : first + each]) for own in counts)
        rows.append(Row(since, until, summed, ", ".join(dict.fromkeys(words))))
    return rows


def state_words(state: str) -> str:
    words = {
        "closed": _("closed"),
        "open": _("open"),
        "half_open": _("half-open"),
        "forced_open": _("forced open"),
        "forced_closed": _("forced closed"),
        "metrics_only": _("counts only"),
    }
    return words.get(state, state)


def _ticks(axis: Axis, count: int = 5) -> list[datetime]:
    """At equal distances from the left edge to the right one."""
    return [axis.start + (axis.end - axis.start) * position / (count - 1) for position in range(count)]


def round_up(value: float) -> int:
    """The next 1, 2 or 5 times a power of ten, so that a scale can be read."""
    size = 1
    while True:
        for factor in (1, 2, 5):
            if value <= size * factor:
                return size * factor
        size *= 10


def _clock(at: datetime) -> str:
    return f"{timezone.localtime(at):%H:%M}"


def _counts(own: Mapping[str, Any], points: int) -> tuple[list[int], list[int], list[int]]:
    sent, failed, died = (_whole(own.get(name), points) for name in ("sent", "failed", "died"))
    return sent, failed, died


def _whole(given: Any, points: int) -> list[int]:
    """As many counts as there are times; what is no count is none."""
    counts = [each if isinstance(each, int) and 0 <= each < 2**53 else 0 for each in _list(given)[:points]]
    return counts + [0] * (points - len(counts))


def _time(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo is not None else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | Mapping) else []
