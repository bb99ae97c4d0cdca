"""The script of outages that loops while the sandbox runs. Pure: elapsed seconds come from the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from apps.sandbox.outages import Mode


@dataclass(frozen=True, slots=True)
class Step:
    """``at`` seconds into the loop ``provider`` gets an outage of ``seconds``. ``shows`` is for people."""

    at: float
    provider: str
    mode: Mode
    seconds: float
    shows: str
    share: float = 1.0
    delay: float | None = None


# The first minute shows the whole of the main job: delivered, breaker open and closed again, dead letters.
STEPS: Final = (
    Step(8, "midtrans", Mode.ERRORS, 14, "answers 500 and 503: its breaker opens, waits, tests and closes again"),
    Step(40, "whatsapp", Mode.REJECT, 10, "refuses half of the numbers for good: dead letters with one cause", 0.5),
    Step(60, "smtp", Mode.REFUSE, 25, "closes its socket: mail waits behind an open breaker, none is lost"),
    Step(95, "billing-webhook", Mode.RATE_LIMIT, 12, "answers 429 with Retry-After: slowed down, no breaker", 1.0, 4),
    Step(115, "midtrans", Mode.SLOW, 15, "answers after 4 s: the other services do not notice", 1.0, 4),
    Step(135, "smtp", Mode.ERRORS, 12, "greets half of the mails with 4xx: tried again later", 0.5),
    Step(152, "whatsapp", Mode.HANG, 10, "takes requests and never answers: time-outs, shown as ambiguous", 0.5),
    Step(166, "billing-webhook", Mode.ERRORS, 8, "fails every third call: retries hide it", 0.3),
)
LOOP_S: Final = 180.0


@dataclass(frozen=True, slots=True)
class Upcoming:
    step: Step
    seconds: float


class Player:
    """Says which steps have become due since it was last asked."""

    def __init__(self, steps: tuple[Step, ...] = STEPS, loop: float = LOOP_S) -> None:
        self.steps = tuple(sorted(steps, key=lambda step: step.at))
        self.loop = loop
        self._began: float | None = None
        self._played_to = 0.0

    @property
    def is_on(self) -> bool:
        return self._began is not None

    def begin(self, now: float) -> None:
        """Play from the top. Does nothing while it plays."""
        if self._began is None:
            self._began, self._played_to = now, -1.0

    def stop(self) -> None:
        self._began = None

    def due(self, now: float) -> list[Step]:
        """Steps between the last call and now, in order. After a long pause only those of the latest loop."""
        if self._began is None:
            return []
        elapsed, since = now - self._began, self._played_to
        self._played_to = elapsed
        start = max(0, int((elapsed - self.loop) // self.loop))
        return [
            step
            for turn in range(start, int(elapsed // self.loop) + 1)
            for step in self.steps
            if max(since, elapsed - self.loop) < turn * self.loop + step.at <= elapsed
        ]

    def next(self, now: float) -> Upcoming | None:
        """The step that comes next, and in how many seconds."""
        if self._began is None or not self.steps:
            return None
        elapsed = now - self._began
        turn = int(elapsed // self.loop)
        times = [
            (one * self.loop + step.at, step)
            for one in (turn, turn + 1)
            for step in self.steps
            if one * self.loop + step.at > elapsed
        ]
        at, step = min(times, key=lambda pair: pair[0])
        return Upcoming(step, at - elapsed)
