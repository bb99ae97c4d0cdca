"""What passes between the in-process half and the shared half."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.breakers.machine import Kind, Rule
from apps.breakers.window import Counts
from apps.services.policies import BreakerPolicy


def ms(seconds: float) -> int:
    return round(seconds * 1000)


def bucket_ms(rule: Rule) -> int:
    """The length of a shared bucket."""
    return max(1, ms(rule.window / rule.buckets))


def rule_of(policy: BreakerPolicy) -> Rule:
    """The rule of a service's policy."""
    return Rule(
        percentage=policy.error_threshold_percentage,
        volume=policy.volume_threshold,
        strictly_more=policy.comparison == ">",
        reset=policy.reset_timeout,
        window=policy.rolling_count_timeout,
        buckets=policy.rolling_count_buckets,
        permits=policy.half_open_permits,
        need=policy.success_threshold,
        lease=policy.probe_lease,
        slow=policy.slow_call_duration,
        slow_percentage=policy.slow_call_rate_percentage,
        multiplier=policy.reset_multiplier,
        max_reset=policy.longest_reset,
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The policy of a service, and the version of the service it was read from."""

    policy: BreakerPolicy
    version: int


@dataclass(frozen=True, slots=True)
class View:
    """A breaker as the database shows it. Remaining times only, in ms; never points in time."""

    name: str
    config_version: int
    breaker_id: int
    is_open: bool
    epoch: int
    wait_ms: int
    reopen_streak: int
    cfg_version: int
    retry_in_ms: int
    override: int
    override_left_ms: int | None
    now_ms: int
    counts: Counts

    @property
    def override_over(self) -> bool:
        return self.override != 0 and self.override_left_ms is not None and self.override_left_ms <= 0

    @property
    def forced(self) -> bool:
        return self.override != 0 and not self.override_over


@dataclass(frozen=True, slots=True)
class Delta:
    """What one worker counted in one bucket since its last flush. ``errors`` is the bucket's whole tally.

    ``at_ms`` is the middle of the bucket on the database's clock.
    """

    breaker_id: int
    bucket: int
    buckets: int
    epoch: int
    counts: Counts
    errors: Mapping[str, Any] | None
    at_ms: float


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to one probe."""

    breaker_id: int
    slot: int
    epoch: int
    owner: str


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How a probe ended; ``seconds`` it took."""

    ok: bool
    seconds: float = 0.0
    error_class: str = ""
    sample: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """A row of breaker_event, to be announced after the commit."""

    service: str
    kind: Kind
    epoch: int
    event_id: int


@dataclass(frozen=True, slots=True)
class Note:
    """What a process did on its own, to be written down when the database can be reached."""

    kind: Kind
    at: float
    detail: Mapping[str, Any]
