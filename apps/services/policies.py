"""The policies of a service as typed values, parsed from the JSON it is stored and configured as.

Seconds everywhere. Every error names the field as it stands in config/services.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Self

from django.utils.translation import gettext as _
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from apps.core.errors import Invalid


class Policy(BaseModel):
    """Base: frozen, and an unknown key is an error rather than a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, data: Any, *, at: str) -> Self:
        """Parse ``data``; raises :class:`Invalid` with ``at.field`` for each problem."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise Invalid.fields(problems_of(error, at)) from None


def problems_of(error: ValidationError, at: str) -> list[dict[str, str]]:
    """Pydantic's problems with the path people know them by, in words for people."""
    return [
        {"field": ".".join([at, *map(str, item["loc"])]).strip("."), "message": _words(item)}
        for item in error.errors(include_url=False)
    ]


def _words(item: Any) -> str:
    """Pydantic's own words where people have none of theirs."""
    said = item["msg"].removeprefix("Value error, ").replace("Input should", "should")
    pattern = PATTERNS.get(item["type"])
    return pattern().format(**item.get("ctx", {})) if pattern else said


PATTERNS: Final[Mapping[str, Callable[[], str]]] = {
    "extra_forbidden": lambda: _("is not a known option"),
    "missing": lambda: _("is required"),
    "greater_than": lambda: _("should be greater than {gt}"),
    "greater_than_equal": lambda: _("should be greater than or equal to {ge}"),
    "less_than": lambda: _("should be less than {lt}"),
    "less_than_equal": lambda: _("should be less than or equal to {le}"),
    "int_type": lambda: _("should be a valid integer"),
    "float_type": lambda: _("should be a valid number"),
    "literal_error": lambda: _("should be {expected}"),
}


class RetryPolicy(Policy):
    """Delay before attempt n+1 = min(cap, base x factor^n), with jitter."""

    max_attempts: int = Field(5, ge=1, le=100)
    base: float = Field(1, gt=0, le=86_400)
    factor: float = Field(2, ge=1, le=100)
    cap: float = Field(60, gt=0, le=604_800)
    jitter: Literal["full", "equal", "none"] = "full"


class BreakerPolicy(Policy):
    """Options as in opossum, with the semantics of docs/design/breakers.md."""

    timeout: float = Field(10, gt=0, le=3600)
    error_threshold_percentage: float = Field(50, gt=0, le=100)
    volume_threshold: int = Field(5, ge=1)
    reset_timeout: float = Field(30, gt=0, le=86_400)
    rolling_count_timeout: float = Field(10, gt=0, le=3600)
    rolling_count_buckets: int = Field(10, ge=1, le=600)
    half_open_permits: int = Field(1, ge=1, le=100)
    success_threshold: int | None = Field(None, ge=1, le=100)
    scope: Literal["cluster", "local"] = "cluster"
    comparison: Literal[">=", ">"] = ">="
    slow_call_duration: float | None = Field(None, gt=0)
    slow_call_rate_percentage: float = Field(80, gt=0, le=100)
    reset_multiplier: float = Field(2, ge=1, le=10)
    max_reset_timeout: float | None = Field(None, gt=0)
    ramp_seconds: float = Field(5, ge=0, le=3600)
    lease: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _probes_can_succeed(self) -> Self:
        if self.success_threshold is not None and self.success_threshold > self.half_open_permits:
            raise ValueError(_("success_threshold is larger than half_open_permits, so it could never close"))
        return self

    @property
    def longest_reset(self) -> float:
        """Ceiling of the reset back-off: five times the first wait unless configured."""
        return self.max_reset_timeout or self.reset_timeout * 5

    @property
    def probe_lease(self) -> float:
        """A lease outlives its call, with room to report."""
        return self.lease or max(3 * self.timeout, self.timeout + 10)


class Limits(Policy):
    """Limits over all workers together."""

    max_in_flight: int = Field(64, ge=1, le=10_000)
    max_per_second: float | None = Field(None, gt=0, le=1_000_000)


class Ordering(Policy):
    """What the messages of an ordering_key do while their head waits to be tried again.

    block: wait for it. skip: go past it. dead_letter: the head is not tried again, so nobody waits.
    """

    waiting_head: Literal["block", "skip", "dead_letter"] = "block"


class Probe(Policy):
    """How the health of the service is checked (used by the health app)."""

    kind: Literal["http", "tcp", "smtp", "sql", "broker", "workers", "beat", "disk", "python"] = "http"
    url: str = ""
    every: float = Field(30, ge=1)
    timeout: float = Field(5, gt=0)
