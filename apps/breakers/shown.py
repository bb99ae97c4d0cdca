"""A breaker as the API shows it."""

from __future__ import annotations

from typing import Any

from apps.breakers.selectors import BreakerSnapshot


def shown_snapshot(found: BreakerSnapshot) -> dict[str, Any]:
    """State, window, thresholds, override, and how many workers act upon this epoch already."""
    policy = found.policy
    return {
        "service": found.service,
        "state": str(found.state),
        "epoch": found.epoch,
        "window": {
            "ok": found.ok,
            "failed": found.fail,
            "timed_out": found.timeout,
            "slow": found.slow,
            "rejected": found.rejected,
            "error_percentage": found.rate,
            "seconds": policy.rolling_count_timeout,
        },
        "thresholds": {
            "timeout": policy.timeout,
            "error_threshold_percentage": policy.error_threshold_percentage,
            "volume_threshold": policy.volume_threshold,
            "reset_timeout": policy.reset_timeout,
        },
        "opened_at": found.opened_at,
        "retry_in": found.retry_in,
        "reopen_streak": found.reopen_streak,
        "last_transition_at": found.last_transition_at,
        "override": _override(found),
        "workers": found.workers,
        "workers_agreeing": found.agree,
    }


def _override(found: BreakerSnapshot) -> dict[str, Any] | None:
    if found.override is None:
        return None
    return {"until": found.override_until, "by": found.override_by, "reason": found.override_reason}
