"""Events of a breaker as sentences. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from apps.breakers.machine import Kind
from apps.core.human import span

Detail = Mapping[str, Any]


def told(kind: str, detail: Detail) -> str:
    """What happened and on what evidence; empty for a kind nobody knows."""
    teller = TELLERS.get(kind)
    return "" if teller is None else " · ".join(part for part in teller(detail) if part)


def _opened(detail: Detail) -> list[str]:
    counts, rule = detail.get("counts", {}), detail.get("rule", {})
    completed = counts.get("ok", 0) + counts.get("fail", 0) + counts.get("timeout", 0)
    failed = counts.get("fail", 0) + counts.get("timeout", 0)
    parts = [
        f"{failed} of {completed} calls failed in {span(rule.get('window', 0))} "
        f"(threshold {rule.get('percentage', 0):g} %, volume {rule.get('volume', 0)})"
    ]
    if rule.get("slow") is not None and counts.get("slow"):
        parts.append(f"{counts['slow']} took longer than {span(rule['slow'])}")
    parts.append(", ".join(f"{_class(error['class'])} ×{error['count']}" for error in detail.get("errors", [])))
    failing = [worker["worker"] for worker in detail.get("workers", []) if worker["fail"] + worker["timeout"]]
    return [*parts, f"seen by {failing[0]} only" if len(failing) == 1 and len(detail["workers"]) > 1 else ""]


def _class(name: str) -> str:
    if name.startswith("http_"):
        return f"HTTP {name.removeprefix('http_')}"
    return {"timeout": "time-out", "ran_over": "ran over its time-out"}.get(name, name.replace("_", " "))


def _probe(detail: Detail) -> str:
    probe = detail.get("probe", {})
    what = _class(probe["class"]) if probe.get("class") else "answered"
    return f"{what} after {span(probe['seconds'])}, by {probe['worker']}" if probe else ""


def _reopened(detail: Detail) -> list[str]:
    streak = detail.get("streak", 0)
    times = f"re-opened {streak} times in a row" if streak > 1 else ""
    return [f"The probe failed: {_probe(detail)}", f"wait {span(detail.get('wait', 0))}", times]


def _closed(detail: Detail) -> list[str]:
    return [f"The probe succeeded: {_probe(detail)}"] if "probe" in detail else []


def _overridden(detail: Detail) -> list[str]:
    return [f"for {span(detail.get('expires_in', 0))}", str(detail.get("reason", ""))]


def _ended(detail: Detail) -> list[str]:
    what = {1: "Forced open", 2: "Forced closed", 3: "Metrics only"}.get(detail.get("override", 0), "The override")
    return [f"{what} is over", str(detail.get("reason", ""))]


def _reason(detail: Detail) -> list[str]:
    return [str(detail.get("reason", ""))]


def _alone(detail: Detail) -> list[str]:
    worker = f"only for {detail['worker']}" if "worker" in detail else ""
    found = _opened(detail) if "counts" in detail else []
    return [worker, *found, f"wait {span(detail['wait'])}" if "wait" in detail else ""]


def _configured(detail: Detail) -> list[str]:
    return [f"Settings of version {detail.get('version', '?')} apply"]


TELLERS: Final[Mapping[str, Callable[[Detail], list[str]]]] = {
    Kind.OPENED: _opened,
    Kind.REOPENED: _reopened,
    Kind.CLOSED: _closed,
    Kind.FORCED_OPEN: _overridden,
    Kind.FORCED_CLOSED: _overridden,
    Kind.METRICS_ONLY: _overridden,
    Kind.OVERRIDE_ENDED: _ended,
    Kind.RESET: _reason,
    Kind.TEST_ASKED: _reason,
    Kind.CONFIGURED: _configured,
    Kind.LOCALLY_OPENED: _alone,
    Kind.LOCALLY_CLOSED: _alone,
}
