"""The order of the drains: a sweep for each contender, then interleaved rounds with the best setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.measure import Contender, Figure, Sample, best, drain_once
from bench.peers.specs import Setting
from bench.servers import Servers

LATENCIES_MS = (0, 100)
SWEEP_SCALE = 0.3
SWEEP_CAP_S = 4.0
RECORD_CANDIDATES = 2

Sweep = tuple[str, bool, int, str, Sample]
Key = tuple[str, bool, int]


@dataclass(frozen=True)
class Plan:
    """``scale`` shrinks the number of messages; ``cap_s`` ends a drain that is slower than foreseen."""

    rounds: int
    scale: float
    sweep: bool
    cap_s: float

    def with_rounds(self, rounds: int | None) -> Plan:
        return self if rounds is None else replace(self, rounds=rounds)


class Delivery:
    """All contenders at all latencies."""

    def __init__(self, servers: Servers, plan: Plan) -> None:
        self.servers = servers
        self.plan = plan
        self.sweeps: list[Sweep] = []
        self.chosen: dict[Key, Setting] = {}
        self.ranked: dict[Key, list[Setting]] = {}
        self.samples: dict[Key, list[Sample]] = {}

    def choose(self, contender: Contender, latency_ms: int) -> None:
        """Find the best setting. A peer's second form is tried with the best two of its first."""
        key = (contender.name, contender.record, latency_ms)
        plain = self.ranked.get((contender.name, False, latency_ms))
        candidates = plain[:RECORD_CANDIDATES] if plain and contender.record else contender.candidates(latency_ms)
        if not self.plan.sweep or len(candidates) == 1:
            self.chosen[key] = candidates[0]
            return
        found = [(setting, self._try(contender, setting, latency_ms)) for setting in candidates]
        self.ranked[key] = [pair[0] for pair in sorted(found, key=lambda pair: -pair[1].rate)]
        self.chosen[key] = best(found)

    def _try(self, contender: Contender, setting: Setting, latency_ms: int) -> Sample:
        count = int(contender.messages(latency_ms) * self.plan.scale * SWEEP_SCALE)
        found = drain_once(contender, self.servers, setting, latency_ms, count, SWEEP_CAP_S)
        self.sweeps.append((contender.name, contender.record, latency_ms, setting.label, found))
        _say("sweep", contender, latency_ms, setting, found)
        return found

    def round(self, contender: Contender, latency_ms: int) -> None:
        key = (contender.name, contender.record, latency_ms)
        setting = self.chosen[key]
        count = int(contender.messages(latency_ms) * self.plan.scale)
        found = drain_once(contender, self.servers, setting, latency_ms, count, self.plan.cap_s)
        self.samples.setdefault(key, []).append(found)
        _say("round", contender, latency_ms, setting, found)

    def figures(self) -> list[Figure]:
        return [Figure(*key, self.chosen[key].label, tuple(found)) for key, found in self.samples.items()]


def _say(what: str, contender: Contender, latency_ms: int, setting: Setting, found: Sample) -> None:
    record = "record" if contender.record else ""
    remark = f"  {found.duplicates} sent twice" if found.duplicates else ""
    remark += f"  {found.problem.strip()[-400:]}" if found.problem else ""
    print(
        f"  {what} {contender.name:22} {record:6} {latency_ms:3} ms  {found.rate:8,.0f}/s  "
        f"CPU {found.worker_cpu:5,.0f} + {found.server_cpu:4,.0f} ms per 1,000  {setting.label}{remark}",
        flush=True,
    )


def measure_all(contenders: Sequence[Contender], servers: Servers, plan: Plan) -> tuple[list[Figure], list[Sweep]]:
    """Sweep everybody, then go round all of them ``plan.rounds`` times."""
    delivery = Delivery(servers, plan)
    for latency_ms in LATENCIES_MS:
        for contender in contenders:
            delivery.choose(contender, latency_ms)
    for _ in range(plan.rounds):
        for latency_ms in LATENCIES_MS:
            for contender in contenders:
                delivery.round(contender, latency_ms)
    return delivery.figures(), delivery.sweeps
