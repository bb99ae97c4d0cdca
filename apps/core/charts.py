"""The geometry of small charts. Pure arithmetic; templates turn it into SVG, which carries no style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

Points = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a band: ``x`` and ``width`` in units of the drawing, ``tone`` as in badges."""

    x: float
    width: float
    tone: str


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    empty: bool


def polylines(values: Points, *, width: float, top: float, bottom: float) -> list[str]:
    """Shares (0 to 1) as the ``points`` of lines, left to right. A gap (None) ends a line.

    A single value between two gaps is drawn as a short stroke, or nobody would see it.
    """
    if not values:
        return []
    step = width / max(1, len(values) - 1)
    lines: list[list[tuple[float, float]]] = [[]]
    for position, value in enumerate(values):
        if value is None:
            lines.append([])
            continue
        share = min(1.0, max(0.0, value))
        lines[-1].append((position * step, bottom - share * (bottom - top)))
    return [_points(line, width) for line in lines if line]


def _points(line: list[tuple[float, float]], width: float) -> str:
    if len(line) == 1:
        (x, y) = line[0]
        line = [(max(0.0, x - 2), y), (min(width, x + 2), y)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in line)


def bars(counts: Sequence[int], *, width: float, height: float, gap: float = 2) -> list[Bar]:
    """Counts as bars; a zero is a line on the floor, so that the time axis can be seen."""
    if not counts:
        return []
    most = max(counts) or 1
    each = (width - gap * (len(counts) - 1)) / len(counts)
    found = []
    for position, count in enumerate(counts):
        tall = max(2.0, height * count / most) if count else 1.0
        found.append(Bar(round(position * (each + gap), 1), round(height - tall, 1), round(each, 1), tall, not count))
    return found


def band(
    changes: Sequence[tuple[datetime, str]], *, start: datetime, end: datetime, width: float, gap: float = 1.5
) -> list[Span]:
    """Stretches between changes of tone. The first change stands for everything up to the second, so it
    must be the state at ``start`` (its time may lie before).
    """
    whole = (end - start).total_seconds()
    if whole <= 0 or not changes:
        return []
    times = [max(start, at) for at, _ in changes] + [end]
    merged: list[tuple[datetime, datetime, str]] = []
    for (begins, ends), (_, tone) in zip(pairwise(times), changes, strict=True):
        if merged and merged[-1][2] == tone:
            merged[-1] = (merged[-1][0], ends, tone)
        elif ends > begins or not merged:
            merged.append((begins, ends, tone))
    spans = []
    for begins, ends, tone in merged:
        # Whole units: a band that moved by a tenth at every look would be a changed page at every look.
        left: float = round(width * (begins - start).total_seconds() / whole)
        right = round(width * (ends - start).total_seconds() / whole)
        left = min(left, width - 1.5)
        spans.append(Span(left, round(max(1.5, right - left - (0 if ends >= end else gap)), 1), tone))
    return spans
