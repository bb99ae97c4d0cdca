"""Reading the breakers for pages, the API and the shell: always from the database, never from this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection, models
from django.db.models import Expression, OuterRef, Subquery
from django.utils.translation import gettext as _

from apps.breakers.machine import ADMITTING, Kind, State
from apps.breakers.models import BreakerEvent, BreakerWorker, Override, SharedBreaker, StoredState
from apps.breakers.records import bucket_ms, rule_of
from apps.breakers.sql import BY_WORKER, Dialect
from apps.breakers.telling import told
from apps.breakers.window import Counts
from apps.core.errors import NotFound
from apps.services.models import Service
from apps.services.policies import BreakerPolicy

BEHIND_S: Final = 5.0  # a worker that has not synced for so long does not know what is going on
GONE_S: Final = 60.0  # and after so long it is not counted as a worker
TRANSITIONS: Final = frozenset(kind.value for kind in Kind) - {Kind.CONFIGURED.value, Kind.TEST_ASKED.value}


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One process: when it last synced (s ago), what it keeps open on its own, which epochs it acts upon."""

    worker: str
    host: str
    pid: int
    queue: str
    synced_at: datetime
    synced_ago: float
    seen: Mapping[str, int]
    local_open: Mapping[str, Any]

    @property
    def behind(self) -> bool:
        return self.synced_ago > BEHIND_S


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker contributes to the window."""

    worker: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class BreakerSnapshot:
    """A breaker as the database knows it now. Seconds and percent; ``rate`` None without completed calls.

    ``agree`` of ``workers`` act upon this epoch; ``behind`` names those that do not, or have not synced lately,
    with the seconds since they did. ``local_open`` names workers that keep it open for themselves.
    """

    service: str
    state: State
    epoch: int
    policy: BreakerPolicy
    counts: Counts = field(default_factory=Counts)
    opened_at: datetime | None = None
    retry_in: float | None = None
    wait: float = 0.0
    reopen_streak: int = 0
    override: State | None = None
    override_until: datetime | None = None
    override_by: str = ""
    override_reason: str = ""
    last_transition_at: datetime | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    shares: tuple[Share, ...] = ()
    workers: int = 0
    agree: int = 0
    behind: tuple[tuple[str, float], ...] = ()
    local_open: tuple[str, ...] = ()

    @property
    def ok(self) -> int:
        return self.counts.ok

    @property
    def fail(self) -> int:
        """Failures that are not time-outs."""
        return self.counts.fail

    @property
    def timeout(self) -> int:
        return self.counts.timeout

    @property
    def slow(self) -> int:
        return self.counts.slow

    @property
    def rejected(self) -> int:
        return self.counts.rejected

    @property
    def completed(self) -> int:
        return self.counts.completed

    @property
    def rate(self) -> float | None:
        """Percent of completed calls that failed or timed out."""
        return self.counts.failure_rate if self.completed else None

    @property
    def slow_rate(self) -> float | None:
        return self.counts.slow_rate if self.completed else None

    @property
    def failing_workers(self) -> tuple[str, ...]:
        return tuple(share.worker for share in self.shares if share.counts.failures)

    @property
    def admits(self) -> bool:
        return self.state in ADMITTING


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One event of a breaker with its evidence; ``text`` is a sentence about it."""

    id: int
    service: str
    at: datetime
    epoch: int
    kind: str
    actor: str
    detail: Mapping[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class Look:
    """Every breaker, and the processes that were heard of within the last minute, as of one moment."""

    breakers: list[BreakerSnapshot]
    workers: list[WorkerView]


def look(services: Iterable[Service] | None = None) -> Look:
    """All there is to see: three queries, and one for the services unless they are given."""
    return _look(Service.objects.order_by("name") if services is None else services)


def snapshot_all() -> list[BreakerSnapshot]:
    """Every service's breaker, by name; one that was never used is closed."""
    return look().breakers


def snapshots_of(services: Iterable[Service]) -> list[BreakerSnapshot]:
    """The breakers of services that were read already: three queries."""
    return _look(services).breakers


def snapshot(name: str) -> BreakerSnapshot:
    """The breaker of one service; raises :class:`NotFound`."""
    found = snapshots_of(Service.objects.filter(pk=name))
    if not found:
        raise NotFound(_("There is no service named {name!r}.").format(name=name), detail={"service": name})
    return found[0]


def history(name: str | None = None, limit: int = 50, before_id: int | None = None) -> list[HistoryEntry]:
    """Events of a breaker (or of all), newest first."""
    rows = BreakerEvent.objects.select_related("breaker").order_by("-id")
    if name is not None:
        rows = rows.filter(breaker__name=name)
    if before_id is not None:
        rows = rows.filter(pk__lt=before_id)
    return [_entry(row) for row in rows[:limit]]


def event(name: str, event_id: int) -> HistoryEntry:
    """One event of a breaker; raises :class:`NotFound`."""
    row = BreakerEvent.objects.select_related("breaker").filter(pk=event_id, breaker__name=name).first()
    if row is None:
        text = _("The breaker of {name} has no event {number}.").format(name=name, number=event_id)
        raise NotFound(text, detail={"service": name, "event": event_id})
    return _entry(row)


def workers() -> list[WorkerView]:
    """The processes that synced within the last minute, by name."""
    now = _DatabaseNow()
    rows = BreakerWorker.objects.annotate(now=now).filter(synced_at__gte=now - int(GONE_S * 1000)).order_by("worker")
    return [_worker(row, row.now) for row in rows]


def database_ms() -> int:
    """The database's clock, in ms."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {Dialect(connection.vendor).now}")
        return int(cursor.fetchone()[0])


# --- putting it together ----------------------------------------------------------------------
class _DatabaseNow(Expression):
    """The database's clock, in ms, in a query that is asked anyway."""

    def __init__(self) -> None:
        super().__init__(output_field=models.BigIntegerField())

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        return Dialect(connection.vendor).now, ()


def _look(services: Iterable[Service]) -> Look:
    policies = {service.name: service.breaker_policy for service in services}
    present = workers()
    last = BreakerEvent.objects.filter(breaker=OuterRef("pk"), kind__in=TRANSITIONS).order_by("-id").values("at")[:1]
    found = SharedBreaker.objects.filter(name__in=policies).annotate(now=_DatabaseNow(), last=Subquery(last))
    rows = {row.name: row for row in found}
    shares = _shares({name: policy for name, policy in policies.items() if name in rows})
    snapshots = [
        _snapshot(name, policy, rows.get(name), shares.get(name, []), present) for name, policy in policies.items()
    ]
    return Look(snapshots, present)


def _shares(policies: Mapping[str, BreakerPolicy]) -> dict[str, list[Share]]:
    """The windows, worker by worker."""
    if not policies:
        return {}
    rules = {name: rule_of(policy) for name, policy in policies.items()}
    spans = [value for name, rule in rules.items() for value in (name, bucket_ms(rule), rule.buckets)]
    with connection.cursor() as cursor:
        cursor.execute(Dialect(connection.vendor).spanning(BY_WORKER, len(rules)), spans)
        rows = cursor.fetchall()
    found: dict[str, list[Share]] = {}
    for name, worker, *sums in rows:
        found.setdefault(name, []).append(Share(worker, Counts(*map(int, sums))))
    return found


def _snapshot(
    name: str,
    policy: BreakerPolicy,
    row: SharedBreaker | None,
    shares: list[Share],
    present: list[WorkerView],
) -> BreakerSnapshot:
    if row is None:
        return BreakerSnapshot(name, State.CLOSED, 0, policy)
    now, last = row.now, row.last  # type: ignore[attr-defined]  # annotated
    counts = Counts()
    for share in shares:
        counts.add(share.counts)
    involved = [worker for worker in present if name in worker.seen]
    late = [worker for worker in involved if worker.behind or worker.seen[name] != row.epoch]
    alone = tuple(worker.worker for worker in involved if name in worker.local_open and not worker.behind)
    forced = _override_of(row, now)
    state = _state(row, forced, now, majority=policy.scope == "local" and 2 * len(alone) >= len(involved) > 0)
    return BreakerSnapshot(
        service=name,
        state=state,
        epoch=row.epoch,
        policy=policy,
        counts=counts,
        opened_at=_time(row.opened_at) if state not in ADMITTING else None,
        retry_in=_retry_in(row, state, forced, now),
        wait=row.wait_ms / 1000,
        reopen_streak=row.reopen_streak,
        override=forced,
        override_until=_time(row.override_until) if forced else None,
        override_by=row.override_by if forced else "",
        override_reason=row.override_reason if forced else "",
        last_transition_at=_time(last),
        evidence=row.evidence or {},
        shares=tuple(sorted(shares, key=lambda share: share.worker)),
        workers=len(involved),
        agree=len(involved) - len(late),
        behind=tuple((worker.worker, worker.synced_ago) for worker in late),
        local_open=alone,
    )


def _override_of(row: SharedBreaker, now: int) -> State | None:
    over = row.override_until is not None and row.override_until <= now
    return None if over else Override(row.override).state


def _left_ms(row: SharedBreaker, now: int) -> int:
    left = row.probe_at - now
    # Further ahead than the wait is long: the clock stepped back, and the wait is void.
    return 0 if left < 0 or left > row.wait_ms else left


def _state(row: SharedBreaker, forced: State | None, now: int, *, majority: bool) -> State:
    if forced is not None:
        return forced
    if row.state == StoredState.OPEN:
        return State.OPEN if _left_ms(row, now) else State.HALF_OPEN
    # Of local scope: every process decides for itself, and this is what most of them decided.
    return State.OPEN if majority else State.CLOSED


def _retry_in(row: SharedBreaker, state: State, forced: State | None, now: int) -> float | None:
    if forced is State.FORCED_OPEN:
        return None if row.override_until is None else (row.override_until - now) / 1000
    if row.state == StoredState.OPEN and forced is None:
        return _left_ms(row, now) / 1000
    return None


def _time(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)


def _worker(row: BreakerWorker, now: int) -> WorkerView:
    return WorkerView(
        worker=row.worker,
        host=row.host,
        pid=row.pid,
        queue=row.queue,
        synced_at=datetime.fromtimestamp(row.synced_at / 1000, UTC),
        synced_ago=max(0.0, (now - row.synced_at) / 1000),
        seen=row.seen,
        local_open=row.local_open,
    )


def _entry(row: BreakerEvent) -> HistoryEntry:
    return HistoryEntry(
        id=row.pk,
        service=row.breaker.name,
        at=row.happened_at,
        epoch=row.epoch,
        kind=row.kind,
        actor=row.actor,
        detail=row.detail,
        text=told(row.kind, row.detail),
    )
