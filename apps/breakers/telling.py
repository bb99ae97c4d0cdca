"""Events of a breaker as sentences, in the language that is active. Pure but for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

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
    text = _("{failed} of {completed} calls failed in {span} (threshold {percentage} %, volume {volume})")
    parts = [
        text.format(
            failed=failed,
            completed=completed,
            span=span(rule.get("window", 0)),
            percentage=f"{rule.get('percentage', 0):g}",
            volume=rule.get("volume", 0),
        )
    ]
    if rule.get("slow") is not None and counts.get("slow"):
        parts.append(_("{count} took longer than {span}").format(count=counts["slow"], span=span(rule["slow"])))
    parts.append(", ".join(f"{error_words(error['class'])} ×{error['count']}" for error in detail.get("errors", [])))
    failing = [worker["worker"] for worker in detail.get("workers", []) if worker["fail"] + worker["timeout"]]
    alone = len(failing) == 1 and len(detail["workers"]) > 1
    return [*parts, _("seen by {worker} only").format(worker=failing[0]) if alone else ""]


def error_words(name: str) -> str:
    """An error class as people call it."""
    if name.startswith("http_"):
        return f"HTTP {name.removeprefix('http_')}"
    known = {"timeout": _("time-out"), "ran_over": _("ran over its time-out")}
    return known.get(name, name.replace("_", " "))


def _probe(detail: Detail) -> dict[str, str]:
    probe = detail.get("probe", {})
    what = error_words(probe["class"]) if probe.get("class") else _("answered")
    return {"what": what, "span": span(probe.get("seconds", 0)), "worker": probe.get("worker", "")}


def _reopened(detail: Detail) -> list[str]:
    streak = detail.get("streak", 0)
    times = ngettext("re-opened {count} time in a row", "re-opened {count} times in a row", streak)
    text = _("The probe failed: {what} after {span}, by {worker}") if "probe" in detail else _("The probe failed")
    wait = _("wait {span}").format(span=span(detail.get("wait", 0)))
    return [text.format(**_probe(detail)), wait, times.format(count=streak) if streak > 1 else ""]


def _closed(detail: Detail) -> list[str]:
    text = _("The probe succeeded: {what} after {span}, by {worker}")
    return [text.format(**_probe(detail))] if "probe" in detail else []


def _overridden(detail: Detail) -> list[str]:
    return [_("for {span}").format(span=span(detail.get("expires_in", 0))), str(detail.get("reason", ""))]


def _ended(detail: Detail) -> list[str]:
    known = {1: _("Forced open is over"), 2: _("Forced closed is over"), 3: _("Metrics only is over")}
    return [known.get(detail.get("override", 0), _("The override is over")), str(detail.get("reason", ""))]


def _reason(detail: Detail) -> list[str]:
    return [str(detail.get("reason", ""))]


def _alone(detail: Detail) -> list[str]:
    worker = _("only for {worker}").format(worker=detail["worker"]) if "worker" in detail else ""
    found = _opened(detail) if "counts" in detail else []
    return [worker, *found, _("wait {span}").format(span=span(detail["wait"])) if "wait" in detail else ""]


def _configured(detail: Detail) -> list[str]:
    return [_("Settings of version {version} apply").format(version=detail.get("version", "?"))]


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
