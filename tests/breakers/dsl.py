"""The language of the breaker vectors, run against the pure machine.

``@t`` sets the clock (s). ``S F T I`` are calls that end at once with success, failure, time-out or ignored;
``5F`` five of them, ``S~5`` one that took 5 s, ``xS`` one that must be rejected. ``>a`` starts call a, which must
be admitted, ``x>a`` must be rejected; ``a=S`` ends it. ``?STATE`` is what it shows, ``#ok/fail`` the window's
sums, ``ra=`` retry_after, ``ev:kind=n`` how many events of a kind, ``rej=n`` how many were rejected so far.
``FO(ttl) FC(ttl) MO(ttl)`` force open, force closed, metrics only; ``AUTO`` ends that; ``RESET``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from apps.breakers.machine import Call, Kind, Machine, Outcome, Rule, State

OUTCOMES = {"S": Outcome.SUCCESS, "F": Outcome.FAILURE, "T": Outcome.TIMEOUT, "I": Outcome.IGNORED}
COMPARISONS = {">=": False, "ge": False, "gte": False, ">": True, "gt": True}
OPTIONS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "pct": ("percentage", float),
    "vol": ("volume", int),
    "cmp": ("strictly_more", COMPARISONS.__getitem__),
    "reset": ("reset", float),
    "window": ("window", float),
    "buckets": ("buckets", int),
    "permits": ("permits", int),
    "need": ("need", int),
    "lease": ("lease", float),
    "slow": ("slow", float),
    "slow_pct": ("slow_percentage", float),
    "mult": ("multiplier", float),
    "max_reset": ("max_reset", float),
}


def rule_of(options: Mapping[str, Any]) -> Rule:
    """The rule of a vector. An option nobody knows is an error: ignoring it would test something else."""
    unknown = options.keys() - OPTIONS.keys()
    if unknown:
        raise ValueError(f"unknown options {sorted(unknown)}; known are {sorted(OPTIONS)}")
    return Rule(**{OPTIONS[name][0]: OPTIONS[name][1](value) for name, value in options.items()})


class Run:
    """One vector, one machine, one clock."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.events: Counter[str] = Counter()
        self.machine = Machine(rule_of(options), on_event=self._heard)
        self.now = 0.0
        self.calls: dict[str, Call] = {}

    def _heard(self, kind: Kind) -> None:
        self.events[kind.value] += 1

    def run(self, sequence: str) -> None:
        tokens = sequence.split()
        for number, token in enumerate(tokens):
            try:
                self.step(token)
            except AssertionError as error:
                before = " ".join(tokens[: number + 1])
                raise AssertionError(f"at {token!r} (after {before!r}): {error}") from None

    def step(self, token: str) -> None:
        for pattern, action in GRAMMAR:
            match = pattern.fullmatch(token)
            if match:
                action(self, *match.groups())
                return
        raise ValueError(f"{token!r} is not part of the language")

    # --- what happens --------------------------------------------------------------------------
    def clock(self, seconds: str) -> None:
        self.now = float(seconds)

    def call(self, before: str, refused: str, after: str, outcome: str, took: str | None) -> None:
        for _ in range(int(before or after or 1)):
            call = self.machine.admit(self.now)
            if refused:
                assert call is None, "the call was admitted"
            else:
                assert call is not None, "the call was rejected"
                self.machine.settle(call, OUTCOMES[outcome], self.now, float(took or 0))

    def begin(self, refused: str, name: str) -> None:
        call = self.machine.admit(self.now)
        if refused:
            assert call is None, "the call was admitted"
        else:
            assert call is not None, "the call was rejected"
            self.calls[name] = call

    def end(self, name: str, outcome: str, took: str | None) -> None:
        seconds = float(took) if took else None
        self.machine.settle(self.calls[name], OUTCOMES[outcome], self.now, seconds)

    def override(self, what: str, seconds: str) -> None:
        force = {"FO": Machine.force_open, "FC": Machine.force_closed, "MO": Machine.metrics_only}[what]
        force(self.machine, self.now, float(seconds) if seconds else None)

    def auto(self) -> None:
        self.machine.auto(self.now)

    def reset(self) -> None:
        self.machine.reset(self.now)

    # --- what is seen --------------------------------------------------------------------------
    def shows(self, state: str) -> None:
        seen = self.machine.state(self.now)
        assert seen is State(state), f"it shows {seen}"

    def sums(self, ok: str, failures: str) -> None:
        counts = self.machine.counts(self.now)
        assert (counts.ok, counts.failures) == (int(ok), int(failures)), f"it counts {counts.ok}/{counts.failures}"

    def retry_after(self, expected: str) -> None:
        seen = self.machine.retry_after(self.now)
        if expected == "none":
            assert seen is None, f"it is {seen}"
        else:
            assert seen is not None, "it is none"
            assert abs(seen - float(expected)) < 1e-6, f"it is {seen}"

    def event_count(self, kind: str, number: str) -> None:
        self.machine.state(self.now)
        assert self.events[kind.lower()] == int(number), f"there are {self.events[kind.lower()]}"

    def rejections(self, number: str) -> None:
        assert self.machine.rejected == int(number), f"there are {self.machine.rejected}"


NUMBER = r"-?\d+(?:\.\d+)?"
GRAMMAR: list[tuple[re.Pattern[str], Callable[..., None]]] = [
    (re.compile(rf"@({NUMBER})"), Run.clock),
    (re.compile(rf"(\d*)(x?)(\d*)([SFTI])(?:~({NUMBER}))?"), Run.call),
    (re.compile(r"(x?)>(\w+)"), Run.begin),
    (re.compile(rf"ra=({NUMBER}|none)"), Run.retry_after),
    (re.compile(r"rej=(\d+)"), Run.rejections),
    (re.compile(r"ev:(\w+)=(\d+)"), Run.event_count),
    (re.compile(rf"(\w+)=([SFTI])(?:~({NUMBER}))?"), Run.end),
    (re.compile(r"\?(\w+)"), Run.shows),
    (re.compile(r"#(\d+)/(\d+)"), Run.sums),
    (re.compile(rf"(FO|FC|MO)\(({NUMBER})?\)"), Run.override),
    (re.compile(r"AUTO"), Run.auto),
    (re.compile(r"RESET"), Run.reset),
]
