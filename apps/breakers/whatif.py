"""What other thresholds would have done: stored buckets, replayed through the breaker's own machine. Pure.

What is stored is coarser than what the breaker saw, and it is only what was let through:

* The calls of a bucket are spread evenly over the part of it in which the real breaker was closed (``shut`` holds the
  spans in which it was not), so a window shorter than a bucket sees its share.
* While the real breaker was open nobody called. Its tests (``tests``) are the only evidence of that time, and they
  count only while the replayed breaker is open as well.
* While the replayed breaker is open and the real one was not, the calls that really went stand in for its tests:
  of ``permits`` tests as large a part fails as of the bucket's calls.

So an opening that would have begun while the real breaker was open cannot be seen, and a shorter wait cannot be
shown to close earlier than the real test told.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from apps.breakers.machine import Kind, Machine, Outcome, Rule, State
from apps.breakers.window import Counts

STEPS: Final = 10  # a bucket is replayed in so many steps
EDGE_S: Final = 0.001  # the end of a step still belongs to it

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Cell:
    """What was counted in the seconds that begin ``at``."""

    at: float
    counts: Counts


@dataclass(frozen=True, slots=True)
class ProbeEnd:
    """How a round of tests of the real breaker ended."""

    at: float
    ok: bool


@dataclass(frozen=True, slots=True)
class Opening:
    """One time of being open, from ``at`` to ``until`` (None: to the end of what is known), in seconds.

    ``counts`` is the window that crossed, ``failed_tests`` how often it stayed open after a test.
    """

    at: float
    until: float | None = None
    counts: Counts = field(default_factory=Counts)
    failed_tests: int = 0

    def seconds(self, end: float) -> float:
        return max(0.0, (end if self.until is None else self.until) - self.at)


def replay(
    rule: Rule, cells: Sequence[Cell], tests: Sequence[ProbeEnd] = (), shut: Sequence[Span] = (), *, resolution: float
) -> list[Opening]:
    """When a breaker with ``rule`` would have been open. Everything is in order of time; ``resolution`` is the
    length of a cell in seconds.
    """
    run = _Run(rule, resolution, tests)
    spans = deque(shut)
    hot = _hot(rule, cells)
    for cell in cells:
        run.tests_before(cell.at)
        if run.machine.is_open or _near(hot, cell.at, rule.window + resolution):
            run.cell(cell, _moments(cell.at, resolution, spans))
    run.tests_before(float("inf"))
    return run.openings


def longest(openings: Sequence[Opening], end: float) -> float:
    """Seconds of the longest opening; 0 without any."""
    return max((opening.seconds(end) for opening in openings), default=0.0)


def _hot(rule: Rule, cells: Sequence[Cell]) -> list[float]:
    """The cells that cross by themselves, whatever their volume. A window is a mix of its cells, so it crosses only
    near one of these: a closed breaker need not look at the others.
    """
    loose = replace(rule, volume=1)
    return [cell.at for cell in cells if loose.crossed(cell.counts)]


def _near(hot: Sequence[float], at: float, reach: float) -> bool:
    position = bisect_left(hot, at - reach)
    return position < len(hot) and hot[position] <= at + reach


def _moments(at: float, length: float, shut: deque[Span]) -> list[Span]:
    """(middle, end) of the steps of a cell: even parts of the time in which calls were let through.

    Drops the spans that are over.
    """
    while shut and shut[0][1] <= at:
        shut.popleft()
    open_parts, begin = list[Span](), at
    for start, end in shut:
        if start >= at + length:
            break
        if start > begin:
            open_parts.append((begin, start))
        begin = max(begin, end)
    if begin < at + length:
        open_parts.append((begin, at + length))
    open_parts = open_parts or [(at, at + length)]
    whole = sum(end - start for start, end in open_parts)
    ends = [(step + 1) * whole / STEPS for step in range(STEPS)]
    return [(_at(open_parts, end - whole / STEPS / 2), _at(open_parts, end) - EDGE_S) for end in ends]


def _at(parts: Sequence[Span], elapsed: float) -> float:
    """The moment at which ``elapsed`` seconds of the parts have passed."""
    for start, end in parts:
        if elapsed <= end - start:
            return start + elapsed
        elapsed -= end - start
    return parts[-1][1]


class _Run:
    """The machine, and what became of it."""

    def __init__(self, rule: Rule, resolution: float, tests: Sequence[ProbeEnd]) -> None:
        self.machine = Machine(replace(rule, lease=None), self._heard)
        self.resolution = resolution
        self.openings: list[Opening] = []
        self.tests = deque(tests)
        self.now = 0.0

    def _heard(self, kind: Kind) -> None:
        if kind is Kind.CLOSED:
            self.openings[-1] = replace(self.openings[-1], until=self.now)
        elif kind is Kind.REOPENED:
            self.openings[-1] = replace(self.openings[-1], failed_tests=self.openings[-1].failed_tests + 1)

    def cell(self, cell: Cell, moments: Sequence[Span]) -> None:
        """The calls of one cell: counted while closed, taken as tests when one is due and nothing better is known."""
        for step, (middle, end) in enumerate(moments):
            self.tests_before(end)
            self.now = end
            if self.machine.state(end) is State.CLOSED:
                self._count(part(cell.counts, step, STEPS), middle)
            elif cell.counts.completed and not self._tested_before(cell.at + self.resolution):
                self._probe(cell.counts)

    def tests_before(self, at: float) -> None:
        while self._tested_before(at):
            self.test(self.tests.popleft())

    def _tested_before(self, at: float) -> bool:
        return bool(self.tests) and self.tests[0].at < at

    def _count(self, counts: Counts, at: float) -> None:
        if not counts.completed:
            return
        self.machine.window.add(at, counts)
        if counts.failures or counts.slow:
            seen = self.machine.window.total(self.now)
            if self.machine.rule.crossed(seen):
                self.openings.append(Opening(self.now, counts=seen))
                self.machine.evaluate(self.now)

    def _probe(self, counts: Counts) -> None:
        """As many tests as there may be and calls there were, failed in the proportion of the calls."""
        number = min(self.machine.rule.permits, counts.completed)
        bad = round(number * counts.failures / counts.completed)
        slow = self.machine.rule.slow is not None and 2 * counts.slow > counts.completed
        self._settle([not slow and position >= bad for position in range(number)])

    def test(self, test: ProbeEnd) -> None:
        """A test of the real breaker, up to one bucket early: so far may the two have opened apart."""
        early = self.machine.retry_after(test.at) or 0.0
        if not self.machine.is_open or early > self.resolution:
            return
        self.now = test.at + max(0.0, early)
        self._settle([test.ok] * self.machine.rule.permits)

    def _settle(self, outcomes: Sequence[bool]) -> None:
        for ok in outcomes:
            call = self.machine.admit(self.now) if self.machine.is_open else None
            if call is not None:
                self.machine.settle(call, Outcome.SUCCESS if ok else Outcome.FAILURE, self.now, 0.0)


def part(counts: Counts, step: int, steps: int) -> Counts:
    """The ``step``-th of ``steps`` even parts; together they are the whole."""

    def share(value: int) -> int:
        return value * (step + 1) // steps - value * step // steps

    return Counts(share(counts.ok), share(counts.fail), share(counts.timeout), share(counts.slow))
