"""What the figures were meant to reach, and whether they do. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.accept import AcceptRate
from bench.claim import ClaimTime
from bench.guard import GuardCost
from bench.measure import Figure, Sample

OURS = "opsportal, PostgreSQL"
LIMIT = "bare aiohttp loop"


@dataclass
class Results:
    """Everything one run found; a part that was left out is empty."""

    figures: list[Figure] = field(default_factory=list)
    sweeps: list[tuple[str, bool, int, str, Sample]] = field(default_factory=list)
    enqueued: dict[str, float] = field(default_factory=dict)
    claims: list[ClaimTime] = field(default_factory=list)
    accepts: list[AcceptRate] = field(default_factory=list)
    guards: list[GuardCost] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def figure(self, name: str, record: bool, latency_ms: int) -> Figure | None:
        for figure in self.figures:
            if (figure.name, figure.record, figure.latency_ms) == (name, record, latency_ms):
                return figure
        return None

    def rate(self, name: str, record: bool, latency_ms: int) -> float:
        """Messages per second, 0 when it was not measured."""
        figure = self.figure(name, record, latency_ms)
        return figure.rate if figure else 0.0


@dataclass(frozen=True)
class Verdict:
    """One aim: what was asked, what was found, in the same unit."""

    aim: str
    asked: str
    found: str
    met: bool


def _ratio(results: Results, name: str, record: bool, least: float, strictly: bool = False) -> Iterator[Verdict]:
    ours, theirs = results.rate(OURS, True, 0), results.rate(name, record, 0)
    if not ours or not theirs:
        return
    form = "" if name == LIMIT else ", writing the same record" if record else ", as it comes"
    ratio = ours / theirs
    met = ratio > least if strictly else ratio >= least
    asked = f"more than {least:g}" if strictly else f"at least {least:g}"
    yield Verdict(f"0 ms: ours with attempt records / {name}{form}", asked, f"{ratio:.2f}", met)


def _slow_provider(results: Results) -> Iterator[Verdict]:
    rate = results.rate(OURS, True, 100)
    if rate:
        yield Verdict("100 ms: deliveries/s in one process", "at least 2,000", f"{rate:,.0f}", rate >= 2000)


def claim_ratio(claims: Sequence[ClaimTime]) -> float | None:
    """Claim with the most old rows over claim with none."""
    by_rows = {claim.delivered: claim.median_ms for claim in claims}
    if 0 not in by_rows or len(by_rows) < 2:
        return None
    return by_rows[max(by_rows)] / by_rows[0]


def _claim(results: Results) -> Iterator[Verdict]:
    ratio = claim_ratio(results.claims)
    if ratio is not None:
        rows = max(claim.delivered for claim in results.claims)
        yield Verdict(f"claim with {rows:,} delivered rows / with none", "at most 1.3", f"{ratio:.2f}", ratio <= 1.3)


def _guard(results: Results) -> Iterator[Verdict]:
    costs = {cost.name: cost.median_ns for cost in results.guards}
    ours = [ns for name, ns in costs.items() if name.startswith("opsportal")]
    theirs = [ns for name, ns in costs.items() if name.startswith("pybreaker")]
    if ours and theirs:
        worst = max(ours)
        yield Verdict("guard per call, the dearer of our two forms", "under 1,000 ns", f"{worst:,.0f} ns", worst < 1000)
        aim = f"pybreaker's cheaper form ({min(theirs):,.0f} ns) / the dearer of ours"
        yield Verdict(aim, "more than 1", f"{min(theirs) / worst:.2f}", min(theirs) > worst)


def verdicts(results: Results) -> list[Verdict]:
    """Every aim that what was measured can answer."""
    found = [*_ratio(results, "Celery", False, 6), *_ratio(results, "procrastinate", False, 6)]
    for name in ("pgqueuer", "dramatiq", "huey"):
        found += _ratio(results, name, False, 1, strictly=True)
    found += [*_ratio(results, "pgqueuer", True, 1.5), *_ratio(results, LIMIT, False, 0.5)]
    return [*found, *_slow_provider(results), *_claim(results), *_guard(results)]
