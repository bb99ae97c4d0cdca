"""One service: what happened to it, what its workers see, and what its backlog will do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.audit.models import AuditEntry
from apps.breakers.models import ProbeOutcome, ProbeSlot
from apps.breakers.selectors import BreakerSnapshot, HistoryEntry, WorkerView, history
from apps.breakers.window import Counts
from apps.console import marks
from apps.console.selectors.board import Tile
from apps.console.selectors.vitals import Vitals
from apps.core.clock import now
from apps.outbox.models import WAITING, Message

EVENTS_SHOWN: Final = 12
EVENTS_PER_PAGE: Final = 50
EXPIRING_MINUTES: Final = 15
COUNTED: Final = 10_000
TENANTS_SHOWN: Final = 5
TEST_TOLD: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Happening:
    """A transition, an override or a change of settings. ``event`` is the id of the breaker's event, if it is one."""

    at: datetime
    tone: str
    title: str
    text: str = ""
    event: int | None = None
    kind: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


def happenings(entries: Sequence[HistoryEntry], name: str, *, with_audit: bool) -> list[Happening]:
    """What happened to a service, newest first: its breaker's history and what people changed."""
    found = [describe(entry) for entry in entries if entry.kind != "configured"]
    if with_audit:
        rows = AuditEntry.objects.filter(target=f"service:{name}").order_by("-id")[: 2 * EVENTS_SHOWN]
        found += [_audited(row) for row in rows if row.action in AUDIT_WORDS]
    return sorted(found, key=lambda item: item.at, reverse=True)[:EVENTS_SHOWN]


def events(name: str, cursor: int | None) -> tuple[list[Happening], int | None]:
    """A page of the breaker's whole history, and the cursor of the next one."""
    found = history(name, EVENTS_PER_PAGE + 1, before_id=cursor)
    shown = found[:EVENTS_PER_PAGE]
    return [describe(entry) for entry in shown], shown[-1].id if len(found) > EVENTS_PER_PAGE else None


def describe(entry: HistoryEntry) -> Happening:
    """One event of a breaker in words."""
    title = TITLES[entry.kind]() if entry.kind in TITLES else entry.kind.replace("_", " ").capitalize()
    if entry.actor and entry.kind not in BY_WORKERS:
        title = _("{what} by {who}").format(what=title, who=entry.actor)
    tone = marks.EVENT_TONE.get(entry.kind, "")
    return Happening(entry.at, tone, title, entry.text, entry.id, entry.kind, entry.detail)


# Its text says which worker it was.
BY_WORKERS: Final = ("opened", "reopened", "closed", "locally_opened", "locally_closed", "configured")
TITLES: Final[Mapping[str, Callable[[], str]]] = {
    "opened": lambda: _("Opened"),
    "reopened": lambda: _("Probe failed, open again"),
    "closed": lambda: _("Closed"),
    "forced_open": lambda: _("Forced open"),
    "forced_closed": lambda: _("Forced closed"),
    "metrics_only": lambda: _("Set to metrics only"),
    "override_ended": lambda: _("Override ended"),
    "reset": lambda: _("Reset"),
    "test_asked": lambda: _("Test asked for"),
    "configured": lambda: _("Other settings apply"),
    "locally_opened": lambda: _("Opened on one worker"),
    "locally_closed": lambda: _("Closed on one worker"),
}

AUDIT_WORDS: Final[Mapping[str, tuple[str, Callable[[str], str]]]] = {
    "service.created": ("", lambda who: _("Service added by {who}").format(who=who)),
    "service.changed": ("", lambda who: _("Settings changed by {who}").format(who=who)),
    "service.paused": ("unknown", lambda who: _("Paused by {who}").format(who=who)),
    "service.resumed": ("info", lambda who: _("Resumed by {who}").format(who=who)),
    "service.secret_rotated": ("", lambda who: _("Secret rotated by {who}").format(who=who)),
    "service.secret_retired": ("", lambda who: _("Previous secret retired by {who}").format(who=who)),
}


def _audited(entry: AuditEntry) -> Happening:
    tone, title = AUDIT_WORDS[entry.action]
    changed = difference_text(entry.before, entry.after) if entry.action == "service.changed" else ""
    parts = [changed, f"“{entry.reason}”" if entry.reason else ""]
    who = "config/services.yaml" if entry.actor_kind in ("cli", "system") else entry.actor
    return Happening(entry.at, tone, title(who), " · ".join(part for part in parts if part))


def difference_text(before: Any, after: Any) -> str:
    """``breaker.error_threshold_percentage 40 → 50``, the first few."""
    old, new = _flat(before), _flat(after)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    unset = _("default")
    shown = ", ".join(f"{name} {old.get(name, unset)} → {new.get(name, unset)}" for name in names[:4])
    more = len(names) - 4
    if more <= 0:
        return shown
    text = ngettext("{shown} and {count} more", "{shown} and {count} more", more)
    return text.format(shown=shown, count=more)


def _flat(value: Any, at: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for name, item in value.items():
            found |= _flat(item, f"{at}.{name}" if at else str(name))
        return found
    return {at: value}


# --- "test now" ----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class TestAsked:
    """What became of the last "test now". ``outcome`` is waiting, running, good or bad."""

    __test__ = False

    at: datetime
    by: str
    outcome: str
    text: str = ""
    ended_at: datetime | None = None

    @property
    def tone(self) -> str:
        return {"good": "good", "bad": "bad", "running": "warning"}.get(self.outcome, "info")


def test_asked(entries: Sequence[HistoryEntry], name: str) -> TestAsked | None:
    """The newest test somebody asked for within the last quarter of an hour, and how it ended."""
    position = next((at for at, entry in enumerate(entries) if entry.kind == "test_asked"), None)
    if position is None or now() - entries[position].at > TEST_TOLD:
        return None
    asked = entries[position]
    for entry in reversed(entries[:position]):
        if entry.kind in ("closed", "reopened"):
            outcome = "good" if entry.kind == "closed" else "bad"
            return TestAsked(asked.at, asked.actor, outcome, entry.text, entry.at)
        if entry.kind in ("reset", "forced_open", "forced_closed", "metrics_only"):
            return None
    return TestAsked(asked.at, asked.actor, "running" if _probe_runs(name) else "waiting")


test_asked.__test__ = False  # type: ignore[attr-defined]  # a name pytest would take for a test


def _probe_runs(name: str) -> bool:
    rows = ProbeSlot.objects.filter(breaker__name=name, outcome=ProbeOutcome.RUNNING)
    return rows.filter(lease_until__gt=int(now().timestamp() * 1000)).exists()


# --- per worker ----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class WorkerShare:
    """One worker and this breaker: its part of the window, the epoch it acts upon, what it keeps open alone."""

    worker: str
    counts: Counts
    view: WorkerView | None = None
    epoch: int | None = None
    behind: int = 0
    alone: Mapping[str, Any] = field(default_factory=dict)


def worker_shares(breaker: BreakerSnapshot | None, vitals: Vitals) -> list[WorkerShare]:
    """Every worker that uses the breaker or counted in its window, by name."""
    if breaker is None:
        return []
    views = {view.worker: view for view in vitals.workers if breaker.service in view.seen}
    counts = {share.worker: share.counts for share in breaker.shares}
    return [_share(name, breaker, counts.get(name, Counts()), views.get(name)) for name in sorted({*views, *counts})]


def _share(name: str, breaker: BreakerSnapshot, counts: Counts, view: WorkerView | None) -> WorkerShare:
    if view is None:
        return WorkerShare(name, counts)
    epoch = view.seen[breaker.service]
    alone = view.local_open.get(breaker.service) or {}
    return WorkerShare(name, counts, view, epoch, max(0, breaker.epoch - epoch), alone)


# --- what waits ----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Held:
    """What waits and how it will leave. ``drained_in`` is in seconds, None when unknown or nothing waits."""

    waiting: int
    expiring: int
    drained_in: float | None
    per_second: float | None
    tenants: list[tuple[str, int]] = field(default_factory=list)
    capped: bool = False


def held(tile: Tile) -> Held:
    """What the backlog of a service will do once its messages are let through."""
    soon = now() + timedelta(minutes=EXPIRING_MINUTES)
    expiring = Message.objects.filter(
        service=tile.service, status__in=WAITING, expires_at__isnull=False, expires_at__lte=soon
    )
    rate = _rate(tile)
    return Held(
        waiting=tile.waiting,
        expiring=expiring[:COUNTED].count() if tile.waiting else 0,
        drained_in=tile.waiting / rate if rate and tile.waiting else None,
        per_second=rate,
        tenants=_tenants(tile.service.name) if tile.backlog.waiting else [],
        capped=tile.backlog.waiting > COUNTED,
    )


TENANTS: Final = """
SELECT tenant_id, count(*) FROM (
  SELECT tenant_id FROM notification_outbox
  WHERE service = %s AND status IN ('PENDING', 'RETRYING') AND NOT held LIMIT %s) AS waiting
GROUP BY tenant_id ORDER BY count(*) DESC, tenant_id LIMIT %s"""


def _tenants(name: str) -> list[tuple[str, int]]:
    """Whose messages wait, most first, among the first ten thousand."""
    with connection.cursor() as cursor:
        cursor.execute(TENANTS, [name, COUNTED, TENANTS_SHOWN])
        return [(str(tenant), int(count)) for tenant, count in cursor.fetchall()]


def _rate(tile: Tile) -> float | None:
    """Messages per second to expect: the limit, or slots divided by how long a delivery takes."""
    limits = tile.service.limits_policy
    if limits.max_per_second:
        return limits.max_per_second
    p50 = tile.figures.p50_ms
    return limits.max_in_flight / max(p50 / 1000, 0.001) if p50 else None
