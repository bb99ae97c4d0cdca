"""What a transition was decided on, frozen in its event. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from apps.audit.canonical import clean_text
from apps.breakers.machine import Rule
from apps.breakers.window import Counts

CLASSES_KEPT: Final = 8  # per worker and bucket
CLASSES_SHOWN: Final = 3
SAMPLES: Final = 3
OTHER: Final = "other"


@dataclass(slots=True)
class ErrorTally:
    """Error classes with how often and a few samples (message ids, request ids)."""

    classes: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    def add(self, error_class: str, sample: str, number: int = 1) -> None:
        """Count one. Classes beyond the eighth are counted together, so that a row stays small."""
        name = clean_text(error_class or "error", 80)
        if name not in self.classes and len(self.classes) >= CLASSES_KEPT:
            name = OTHER
        count, samples = self.classes.get(name, (0, []))
        if sample and len(samples) < SAMPLES:
            samples = [*samples, clean_text(sample, 80)]
        self.classes[name] = (count + number, samples)

    def merge(self, stored: Mapping[str, Any]) -> None:
        """Add what :meth:`as_json` of another tally gave."""
        for name, (number, samples) in stored.items():
            count, mine = self.classes.get(name, (0, []))
            self.classes[name] = (count + int(number), [*mine, *map(str, samples)][:SAMPLES])

    def as_json(self) -> dict[str, Any]:
        return {name: [count, samples] for name, (count, samples) in self.classes.items()}

    def top(self) -> list[dict[str, Any]]:
        """The three most frequent, most frequent first."""
        ranked = sorted(self.classes.items(), key=lambda item: (-item[1][0], item[0]))[:CLASSES_SHOWN]
        return [{"class": name, "count": count, "samples": samples} for name, (count, samples) in ranked]


@dataclass(frozen=True, slots=True)
class Contribution:
    """The counts of one worker in one bucket, or in the window."""

    worker: str
    counts: Counts
    errors: Mapping[str, Any] = field(default_factory=dict)


def freeze(rule: Rule, contributions: Iterable[Contribution]) -> dict[str, Any]:
    """The evidence of an opening: counters, rates, the rule, error classes, and who contributed."""
    total, workers, errors = Counts(), dict[str, Counts](), ErrorTally()
    for item in contributions:
        total.add(item.counts)
        workers.setdefault(item.worker, Counts()).add(item.counts)
        errors.merge(item.errors)
    return {
        "counts": asdict(total),
        "failure_rate": round(total.failure_rate, 1),
        "slow_rate": round(total.slow_rate, 1),
        "rule": rule_as_json(rule),
        "errors": errors.top(),
        "workers": [{"worker": name, **asdict(counts)} for name, counts in sorted(workers.items())],
    }


def rule_as_json(rule: Rule) -> dict[str, Any]:
    """The part of the rule that people compare the counters with."""
    return {
        "percentage": rule.percentage,
        "comparison": ">" if rule.strictly_more else ">=",
        "volume": rule.volume,
        "window": rule.window,
        "slow": rule.slow,
        "slow_percentage": rule.slow_percentage if rule.slow is not None else None,
        "reset": rule.reset,
    }


def of_probe(*, worker: str, seconds: float, error_class: str, sample: str, ok: int, failed: int) -> dict[str, Any]:
    """The evidence of a decided round: the probe that decided it, and how the round stood."""
    return {
        "probe": {"worker": worker, "seconds": round(seconds, 3), "class": error_class, "sample": sample},
        "round": {"ok": ok, "failed": failed},
    }
