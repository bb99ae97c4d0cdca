"""Outages of one provider: which are on, and what they do to the next request. Pure.

Times are seconds of a clock that the caller passes in. Chance is a hash of (seed, provider, key, how often
the key has come): the same messages meet the same fate in every run, in whatever order they arrive.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from apps.core.errors import Invalid

LONGEST_S: Final = 86_400.0
LONGEST_DELAY_S: Final = 3_600.0


class Mode(StrEnum):
    """What a provider can do to a request, in the order the page shows them."""

    ERRORS = "errors"
    SLOW = "slow"
    HANG = "hang"
    REFUSE = "refuse"
    RATE_LIMIT = "rate_limit"
    REJECT = "reject"
    GONE = "gone"


HTTP_MODES: Final = tuple(Mode)
SMTP_MODES: Final = tuple(mode for mode in Mode if mode is not Mode.GONE)
# slow: before the answer. hang: the longest wait for the caller to give up. rate_limit: Retry-After.
DEFAULT_DELAY_S: Final = {Mode.SLOW: 3.0, Mode.HANG: 120.0, Mode.RATE_LIMIT: 5.0}
_STATUSES: Final = {
    (True, Mode.ERRORS): (range(500, 600), "from 500 to 599"),
    (True, Mode.REJECT): ((400, 401, 403, 404, 405, 406, 409, 413, 415, 422), "a 4xx that stays, such as 400 or 422"),
    (False, Mode.ERRORS): ((421, 450, 451, 452), "421, 450, 451 or 452"),
    (False, Mode.REJECT): (range(550, 555), "from 550 to 554"),
}


@dataclass(frozen=True, slots=True)
class Outage:
    """``share`` of the requests are hit, from ``began`` to ``ends`` (None: until somebody ends it).

    ``status`` fixes the answer of errors and reject; None leaves it to the provider.
    """

    mode: Mode
    share: float = 1.0
    delay: float = 0.0
    status: int | None = None
    began: float = 0.0
    ends: float | None = None
    by: str = "hand"

    def is_over(self, now: float) -> bool:
        return self.ends is not None and now >= self.ends

    def remaining(self, now: float) -> float | None:
        """Seconds until it ends on its own; None when it does not."""
        return None if self.ends is None else max(0.0, self.ends - now)


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one request. ``mode`` None: nothing out of the ordinary; ``wait`` in seconds."""

    mode: Mode | None = None
    wait: float = 0.0
    status: int | None = None
    retry_after: float = 0.0
    chance: float = 0.0


def plan(
    mode: str,
    *,
    now: float,
    http: bool = True,
    share: float = 1.0,
    seconds: float | None = None,
    delay: float | None = None,
    status: int | None = None,
    by: str = "hand",
) -> Outage:
    """An outage from what a person or a script asks for; raises :class:`Invalid` with every problem named."""
    problems: dict[str, str] = {}
    modes = HTTP_MODES if http else SMTP_MODES
    found = next((candidate for candidate in modes if candidate == mode), None)
    if found is None:
        problems["mode"] = f"{mode!r} is not one of {', '.join(modes)}"
    if not 0 < share <= 1:
        problems["share"] = "must be more than 0 and at most 1 (0.25 hits every fourth request)"
    elif found is Mode.REFUSE and share != 1:
        problems["share"] = "a closed socket refuses everybody: leave the share of refuse at 1"
    if seconds is not None and not 0 < seconds <= LONGEST_S:
        problems["seconds"] = f"must be more than 0 and at most {LONGEST_S:.0f}; leave it out for no end"
    if delay is not None and not 0 <= delay <= LONGEST_DELAY_S:
        problems["delay"] = f"must be from 0 to {LONGEST_DELAY_S:.0f} seconds"
    if status is not None and found is not None:
        allowed, text = _STATUSES.get((http, found), ((), "left out: this mode has no status to choose"))
        if status not in allowed:
            problems["status"] = f"must be {text}"
    if found is None or problems:
        raise Invalid.fields([{"field": name, "message": text} for name, text in problems.items()])
    wait = DEFAULT_DELAY_S.get(found, 0.0) if delay is None else delay
    return Outage(found, share, wait, status, now, None if seconds is None else now + seconds, by)


@dataclass(slots=True)
class Outages:
    """The outages of one provider, the newest first."""

    provider: str
    seed: int = 0
    _on: list[Outage] = field(default_factory=list)

    def start(self, outage: Outage) -> None:
        """Turn it on; it takes the place of one of the same mode."""
        self._on = [outage, *(other for other in self._on if other.mode is not outage.mode)]

    def end(self, mode: Mode | None = None, *, by: str | None = None) -> list[Outage]:
        """End one mode, or all; with ``by`` only those that were started so. Returns what ended."""
        return self._drop([one for one in self._on if mode in (None, one.mode) and by in (None, one.by)])

    def expire(self, now: float) -> list[Outage]:
        """Forget what is over. Returns what ended."""
        return self._drop([one for one in self._on if one.is_over(now)])

    def _drop(self, over: list[Outage]) -> list[Outage]:
        self._on = [one for one in self._on if one not in over]
        return over

    def on(self, now: float) -> list[Outage]:
        return [outage for outage in self._on if not outage.is_over(now)]

    def is_refusing(self, now: float) -> bool:
        return any(outage.mode is Mode.REFUSE for outage in self.on(now))

    def fate(self, key: str, turn: int, now: float) -> Fate:
        """What happens to the ``turn``-th request with this key. Shares add up; slowness comes on top."""
        on = self.on(now)
        if not on:
            return Fate()
        wait = max((one.delay for one in on if one.mode is Mode.SLOW and self._hits(one, key, turn)), default=0.0)
        chance = uniform(self.seed, self.provider, key, turn)
        upto = 0.0
        for one in on:
            if one.mode in (Mode.SLOW, Mode.REFUSE):
                continue
            upto += one.share
            if chance < upto:
                pause = one.delay if one.mode is Mode.HANG else wait
                retry_after = one.delay if one.mode is Mode.RATE_LIMIT else 0.0
                return Fate(one.mode, pause, one.status, retry_after, chance / upto)
        return Fate(Mode.SLOW if wait else None, wait)

    def _hits(self, outage: Outage, key: str, turn: int) -> bool:
        return uniform(self.seed, self.provider, key, turn, outage.mode) < outage.share


def uniform(seed: int, *parts: object) -> float:
    """A number from 0 (included) to 1 (not), the same for the same parts."""
    text = "\x1f".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64
