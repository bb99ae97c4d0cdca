"""A rolling window of counts over time buckets. Pure: the time comes in, in seconds on any one clock."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import floor
from typing import Final

# Times are meant to the millisecond; this keeps 0.3 / 0.03 in the bucket a person would say.
TOLERANCE_S: Final = 1e-6


@dataclass(slots=True)
class Counts:
    """What happened. ``ok``, ``fail`` and ``timeout`` are completed calls; a slow call is also one of them.

    Rejected and ignored calls are shown to people and are in no rate.
    """

    ok: int = 0
    fail: int = 0
    timeout: int = 0
    slow: int = 0
    rejected: int = 0
    ignored: int = 0

    @property
    def completed(self) -> int:
        return self.ok + self.fail + self.timeout

    @property
    def failures(self) -> int:
        return self.fail + self.timeout

    @property
    def failure_rate(self) -> float:
        """Percent of completed calls; 0 without any."""
        return 100 * self.failures / self.completed if self.completed else 0.0

    @property
    def slow_rate(self) -> float:
        """Percent of completed calls; 0 without any."""
        return 100 * self.slow / self.completed if self.completed else 0.0

    def add(self, other: Counts) -> None:
        self.ok += other.ok
        self.fail += other.fail
        self.timeout += other.timeout
        self.slow += other.slow
        self.rejected += other.rejected
        self.ignored += other.ignored

    def remove(self, other: Counts) -> None:
        self.ok -= other.ok
        self.fail -= other.fail
        self.timeout -= other.timeout
        self.slow -= other.slow
        self.rejected -= other.rejected
        self.ignored -= other.ignored

    def plus(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __bool__(self) -> bool:
        return any(astuple(self))


class Window:
    """``buckets`` buckets that span ``seconds`` together; the oldest leaves when a new one begins.

    A bucket is numbered ``floor(time / length)``. One whose age has reached ``seconds`` is gone. When the
    clock steps back by less than the window, counting goes on in the newest bucket; when by more, what
    was counted lies further ahead than the window is long and is void.
    """

    __slots__ = ("_newest", "_ring", "_sum", "buckets", "length")

    def __init__(self, seconds: float, buckets: int) -> None:
        self.buckets = buckets
        self.length = seconds / buckets
        self._ring: list[Counts | None] = [None] * buckets
        self._newest = 0
        self._sum = Counts()

    def number(self, now: float) -> int:
        """The number of the bucket that ``now`` falls into."""
        return floor((now + TOLERANCE_S) / self.length)

    def add(self, now: float, counts: Counts) -> None:
        """Count into the bucket of ``now``."""
        self.turn(now)
        slot = self._newest % self.buckets
        bucket = self._ring[slot]
        if bucket is None:
            bucket = self._ring[slot] = Counts()
        bucket.add(counts)
        self._sum.add(counts)

    def total(self, now: float) -> Counts:
        """The sums of the window that ends ``now``. A copy."""
        self.turn(now)
        return Counts(*astuple(self._sum))

    def clear(self) -> None:
        self._ring = [None] * self.buckets
        self._sum = Counts()

    def turn(self, now: float) -> None:
        """Let go of the buckets that are too old."""
        number = self.number(now)
        if number == self._newest:
            return
        if abs(number - self._newest) >= self.buckets:
            self.clear()
            self._newest = number
        elif number > self._newest:
            for left in range(self._newest + 1, number + 1):
                self._forget(left % self.buckets)
            self._newest = number

    def _forget(self, slot: int) -> None:
        bucket = self._ring[slot]
        if bucket is not None:
            self._sum.remove(bucket)
            self._ring[slot] = None
