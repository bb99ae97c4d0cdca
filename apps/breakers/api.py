"""Operations on breakers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from apps.accounts.http import KEYS, KEYS_OR_SESSION, caller_of
from apps.breakers import services
from apps.breakers.selectors import snapshot_all
from apps.breakers.shown import shown_snapshot
from apps.core import actor as may
from apps.core.api_types import Body, ServiceName, Text, with_errors

router = Router(tags=["Services"], auth=KEYS)
stats_router = Router(tags=["Services"], auth=KEYS_OR_SESSION)

State = Literal["CLOSED", "OPEN", "HALF_OPEN", "FORCED_OPEN", "FORCED_CLOSED", "METRICS_ONLY"]


class WindowOut(Schema):
    """Calls in the rolling window."""

    ok: int
    failed: int = Field(description="without the timed-out ones")
    timed_out: int
    slow: int
    rejected: int
    error_percentage: float | None = Field(description="null when nothing was completed")
    seconds: float


class ThresholdsOut(Schema):
    timeout: float
    error_threshold_percentage: float
    volume_threshold: int
    reset_timeout: float


class OverrideOut(Schema):
    """What an operator set, until when, and why."""

    until: datetime | None
    by: str
    reason: str


class BreakerOut(Schema):
    """A breaker, as all processes share it."""

    service: str
    state: State
    epoch: int = Field(description="grows with every transition; send it back as seen_epoch to not override blindly")
    window: WindowOut
    thresholds: ThresholdsOut
    opened_at: datetime | None
    retry_in: float | None = Field(description="seconds until a probe may go")
    reopen_streak: int
    last_transition_at: datetime | None
    override: OverrideOut | None
    workers: int = Field(description="processes that use it")
    workers_agreeing: int = Field(description="of them, those that act upon this epoch already")


class BreakerList(Schema):
    circuit_breakers: list[BreakerOut]


class ActionIn(Body):
    """`expires_in` (seconds) is required to force: an override never stays by accident."""

    action: Literal["force_open", "force_closed", "auto", "reset"]
    reason: Text = Field("", max_length=2000)
    expires_in: int | None = Field(None, ge=1, le=604_800)
    seen_epoch: int | None = Field(None, ge=0, le=2**63 - 1, description="refuse if the breaker moved since")


@router.post(
    "/{name}/breaker",
    summary="Override a breaker",
    operation_id="override_breaker",
    response=with_errors({200: BreakerOut}, 404, 409, 413, 415),
)
def override_breaker(request: HttpRequest, name: ServiceName, body: ActionIn) -> dict[str, Any]:
    """force_open, force_closed: until expires_in has passed. auto: end an override. reset: closed, counts forgotten."""
    caller = caller_of(request)
    caller.require(may.BREAKERS_OVERRIDE)
    caller.require_all_tenants("a breaker")
    changed = services.act(
        service=name,
        action=body.action,
        actor=caller.actor,
        reason=body.reason,
        expires_in=body.expires_in,
        seen_epoch=body.seen_epoch,
    )
    return shown_snapshot(changed)


@stats_router.get(
    "/circuit-breaker",
    summary="Every breaker",
    operation_id="circuit_breaker_stats",
    response=with_errors({200: BreakerList}),
)
def circuit_breaker_stats(request: HttpRequest) -> dict[str, Any]:
    """State, counts in the window, thresholds and last transition of each."""
    caller_of(request).require(may.SERVICES_READ)
    return {"circuit_breakers": [shown_snapshot(found) for found in snapshot_all()]}
