"""One service: what happened to it, and what its backlog will do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from apps.audit.models import AuditEntry
from apps.breakers.selectors import HistoryEntry, history
from apps.console import marks
from apps.console.selectors.board import Tile
from apps.core.clock import now
from apps.outbox.models import WAITING, Message

EVENTS_SHOWN: Final = 30
EXPIRING_MINUTES: Final = 15
EXPIRING_SHOWN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Happening:
    """A transition, an override or a change of settings. ``evidence`` is what it was decided on."""

    at: datetime
    tone: str
    title: str
    text: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


def happenings(name: str, *, with_audit: bool) -> list[Happening]:
    """What happened to a service, newest first: its breaker's history and what people changed."""
    found = [describe(entry) for entry in history(name, EVENTS_SHOWN) if entry.kind != "configured"]
    if with_audit:
        entries = AuditEntry.objects.filter(target=f"service:{name}").order_by("-id")[:EVENTS_SHOWN]
        found += [_audited(entry) for entry in entries if entry.action in AUDIT_WORDS]
    return sorted(found, key=lambda item: item.at, reverse=True)[:EVENTS_SHOWN]


def describe(entry: HistoryEntry) -> Happening:
    """One event of a breaker in words."""
    title = TITLES.get(entry.kind, entry.kind.replace("_", " ").capitalize())
    by = f" by {entry.actor}" if entry.actor and entry.kind not in BY_WORKERS else ""
    evidence = entry.detail if "counts" in entry.detail else {}
    return Happening(entry.at, marks.EVENT_TONE.get(entry.kind, ""), f"{title}{by}", entry.text, evidence)


# Its text says which worker it was.
BY_WORKERS: Final = ("opened", "reopened", "closed", "locally_opened", "locally_closed")
TITLES: Final[Mapping[str, str]] = {
    "opened": "Opened",
    "reopened": "Probe failed, open again",
    "closed": "Closed",
    "forced_open": "Forced open",
    "forced_closed": "Forced closed",
    "metrics_only": "Set to metrics only",
    "override_ended": "Override ended",
    "reset": "Reset",
    "test_asked": "Test asked for",
    "locally_opened": "Opened on one worker",
    "locally_closed": "Closed on one worker",
}

AUDIT_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "service.created": ("", "Service added"),
    "service.changed": ("", "Settings changed"),
    "service.paused": ("unknown", "Paused"),
    "service.resumed": ("info", "Resumed"),
    "service.secret_rotated": ("", "Secret rotated"),
    "service.secret_retired": ("", "Previous secret retired"),
}


def _audited(entry: AuditEntry) -> Happening:
    tone, title = AUDIT_WORDS[entry.action]
    changed = difference_text(entry.before, entry.after) if entry.action == "service.changed" else ""
    parts = [changed, f"“{entry.reason}”" if entry.reason else ""]
    who = "config/services.yaml" if entry.actor_kind in ("cli", "system") else entry.actor
    return Happening(entry.at, tone, f"{title} by {who}", " · ".join(part for part in parts if part))


def difference_text(before: Any, after: Any) -> str:
    """``breaker.error_threshold_percentage 40 → 50``, the first few."""
    old, new = _flat(before), _flat(after)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    shown = [f"{name} {old.get(name, 'default')} → {new.get(name, 'default')}" for name in names[:4]]
    return ", ".join(shown) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _flat(value: Any, at: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for name, item in value.items():
            found |= _flat(item, f"{at}.{name}" if at else str(name))
        return found
    return {at: value}


@dataclass(frozen=True, slots=True)
class Held:
    """What waits and how it will leave. ``drained_in`` is in seconds, None when unknown or nothing waits."""

    waiting: int
    expiring: int
    drained_in: float | None
    per_second: float | None


def held(tile: Tile) -> Held:
    """What the backlog of a service will do once its messages are let through."""
    soon = now() + timedelta(minutes=EXPIRING_MINUTES)
    expiring = Message.objects.filter(
        service=tile.service, status__in=WAITING, expires_at__isnull=False, expires_at__lte=soon
    )
    rate = _rate(tile)
    return Held(
        waiting=tile.waiting,
        expiring=expiring[:EXPIRING_SHOWN].count() if tile.waiting else 0,
        drained_in=tile.waiting / rate if rate and tile.waiting else None,
        per_second=rate,
    )


def _rate(tile: Tile) -> float | None:
    """Messages per second to expect: the limit, or slots divided by how long a delivery takes."""
    limits = tile.service.limits_policy
    if limits.max_per_second:
        return limits.max_per_second
    p50 = tile.figures.p50_ms
    return limits.max_in_flight / max(p50 / 1000, 0.001) if p50 else None
