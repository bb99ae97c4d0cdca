"""The shared half: everything an agent says to the database, on a connection of its own.

Own, so that counters are not rolled back with a caller's transaction, a caller inside a transaction cannot
wait for itself, and a slow database never delays a guarded call. Every method raises
:data:`STORAGE_ERRORS` when the database cannot be reached or does not answer in time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import structlog
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.breakers.evidence import Contribution, freeze, of_probe
from apps.breakers.history import Cells
from apps.breakers.machine import Kind, Rule
from apps.breakers.records import (
    Config,
    Delta,
    Lease,
    ProbeResult,
    Transition,
    View,
    bucket_ms,
    ms,
)
from apps.breakers.sql import (
    CLOSE,
    CLOSE_LOCAL,
    CONFIG,
    CONFIGURED,
    CONTRIBUTIONS,
    CREATE,
    END_OVERRIDE,
    EVENT,
    FORGET_EVENTS,
    FORGET_WINDOWS,
    FORGET_WORKERS,
    LEASE,
    LOCK,
    LOCK_DUE,
    RELEASE,
    REOPEN,
    SETTLE,
    SLOTS,
    TALLY,
    TRIP,
    VIEW,
    WORKER,
    Dialect,
    in_order,
)
from apps.breakers.window import Counts
from apps.core.errors import PortalError
from apps.services.models import Service
from apps.services.policies import BreakerPolicy

log = structlog.get_logger(__name__)
STORAGE_ERRORS: Final = (DatabaseError, InterfaceError)
LOCK_WAIT_S: Final = 0.25
KEEP_WORKERS_S: Final = 600
KEEP_EVENTS_S: Final = 180 * 86_400


def own_connection() -> BaseDatabaseWrapper:
    """A connection like the default one that gives up soon: an agent is never in the way of a caller."""
    connection = connections[DEFAULT_DB_ALIAS].copy()
    options = connection.settings_dict["OPTIONS"]
    if connection.vendor == "sqlite":
        options["timeout"] = LOCK_WAIT_S
    else:
        options.update(connect_timeout=2, tcp_user_timeout=3000, keepalives_idle=5, keepalives_interval=2)
    return connection


@dataclass(slots=True)
class Store:
    """``worker`` names this process in every row it writes."""

    worker: str
    host: str = ""
    pid: int = 0
    queue: str = ""
    connection: BaseDatabaseWrapper = field(default_factory=own_connection)
    skew_ms: int = 0
    _leases: int = 0

    @property
    def dialect(self) -> Dialect:
        return Dialect(self.connection.vendor, self.skew_ms)

    def close(self) -> None:
        """Let go of the connection, whatever state it is in; the next statement opens a new one."""
        with suppress(*STORAGE_ERRORS):
            self.connection.close()

    # --- what is configured --------------------------------------------------------------------
    def configs(self, names: Sequence[str]) -> dict[str, Config]:
        """The policies of those names that are services."""
        rows = self._all(self.dialect.names(CONFIG, names), names)
        return {name: Config(_policy(name, stored), version) for name, stored, version in rows}

    def create(self, names: Sequence[str]) -> None:
        """Make the rows of breakers that have none yet."""
        self._run(self.dialect.names(CREATE, names), names)

    # --- sync ----------------------------------------------------------------------------------
    def check_in(self, seen: Mapping[str, int], local_open: Mapping[str, Any]) -> None:
        """This worker lives, and acts upon these epochs."""
        values = [self.worker, self.host, self.pid, self.queue, json.dumps(seen), json.dumps(local_open)]
        self._run(self.dialect(WORKER), values)

    def check_out(self) -> None:
        """This worker is gone; its counts stay until they are old."""
        self._run("DELETE FROM breaker_worker WHERE worker = %s", [self.worker])

    def flush(self, deltas: Sequence[Delta]) -> None:
        """Add the deltas to this worker's rows of the shared window."""
        rows = in_order([self._row(delta) for delta in deltas])
        self._run(self.dialect.flush(len(rows)), [value for row in rows for value in row])

    def add_history(self, cells: Cells) -> None:
        """Add to what all workers counted, in one statement."""
        if not cells:
            return
        rows = [
            (*key, counts.ok, counts.fail, counts.timeout, counts.slow, counts.rejected)
            for key, counts in cells.items()
        ]
        self._run(self.dialect.history(len(rows)), [value for row in sorted(rows) for value in row])

    def _row(self, delta: Delta) -> tuple[Any, ...]:
        counts = delta.counts
        return (
            delta.breaker_id,
            self.worker,
            delta.bucket % delta.buckets,
            delta.bucket,
            delta.epoch,
            counts.ok,
            counts.fail,
            counts.timeout,
            counts.slow,
            counts.rejected,
            counts.ignored,
            json.dumps(delta.errors) if delta.errors else None,
        )

    def views(self, rules: Mapping[str, Rule]) -> dict[str, View]:
        """How the named breakers stand. A name that is missing is no service, or has no row yet."""
        spans = [value for name, rule in rules.items() for value in (name, bucket_ms(rule), rule.buckets)]
        rows = self._all(self.dialect.spanning(VIEW, len(rules)), spans)
        return {row[0]: _view(row) for row in rows if row[2] is not None}

    # --- transitions ---------------------------------------------------------------------------
    def trip(self, view: View, rule: Rule) -> Transition | None:
        """Open, if nobody else did: compare and set on the epoch. None when somebody was faster."""
        with self._transaction():
            evidence = freeze(rule, self._contributions(view, rule))
            wait = ms(rule.reset)
            values = [wait, wait, json.dumps(evidence), view.breaker_id, view.epoch]
            return self._note(self.dialect(TRIP), values, view.name, view.breaker_id, Kind.OPENED, evidence)

    def end_override(self, view: View) -> Transition | None:
        """Write down that an override is over. It is over without this, too."""
        with self._transaction():
            values = [view.breaker_id, view.epoch]
            detail = {"override": view.override}
            return self._note(
                self.dialect(END_OVERRIDE), values, view.name, view.breaker_id, Kind.OVERRIDE_ENDED, detail
            )

    def configured(self, view: View, policy: BreakerPolicy) -> Transition | None:
        """Write down that other settings apply from now on; one process does."""
        with self._transaction():
            values = [view.config_version, view.breaker_id, view.cfg_version]
            detail = {"policy": policy.model_dump(), "version": view.config_version}
            if view.cfg_version == 0:
                self._run(self.dialect(CONFIGURED), values)
                return None
            return self._note(self.dialect(CONFIGURED), values, view.name, view.breaker_id, Kind.CONFIGURED, detail)

    def close_local(self, view: View) -> None:
        """A breaker of local scope has recovered from a forced open: later processes start closed."""
        self._run(CLOSE_LOCAL, [view.breaker_id, view.epoch])

    def local(self, view: View, kind: Kind, ago_ms: int, detail: Mapping[str, Any]) -> Transition:
        """Write down what this process did on its own, ``ago_ms`` ago."""
        text = json.dumps({"worker": self.worker, **detail})
        row = self._one(self.dialect(EVENT), [view.breaker_id, ago_ms, view.epoch, kind.value, self.worker, text])
        assert row is not None
        return Transition(view.name, kind, view.epoch, row[0])

    def _contributions(self, view: View, rule: Rule) -> list[Contribution]:
        length = bucket_ms(rule)
        rows = self._all(self.dialect(CONTRIBUTIONS), [view.breaker_id, view.epoch, length, rule.buckets, length])
        return [Contribution(row[0], Counts(*row[1:7]), from_json(row[7]) or {}) for row in rows]

    def _note(
        self, statement: str, values: Sequence[Any], name: str, breaker_id: int, kind: Kind, detail: Mapping[str, Any]
    ) -> Transition | None:
        """Run a compare-and-set that returns the new epoch, and write its event if it took place."""
        changed = self._one(statement, values)
        if changed is None:
            return None
        text = json.dumps(detail)
        row = self._one(self.dialect(EVENT), [breaker_id, 0, changed[0], kind.value, self.worker, text])
        assert row is not None
        return Transition(name, kind, changed[0], row[0])

    # --- half-open -----------------------------------------------------------------------------
    def lease(self, breaker_id: int, rule: Rule) -> Lease | None:
        """The right to a probe, if the breaker is due and a slot is free.

        The primary key allows one lease per slot, there are as many slots as permits, and the row lock
        makes asking one at a time. A live lease of an earlier round counts too.
        """
        length = ms(rule.lease or 3 * rule.reset)
        with self._transaction():
            due = self._one(self.dialect(LOCK_DUE), [breaker_id])
            slot = None if due is None else self._free_slot(breaker_id, due[0], rule.permits, length)
            if due is None or slot is None:
                return None
            self._leases += 1
            lease = Lease(breaker_id, slot, due[0], f"{self.worker}#{self._leases}")
            self._run(self.dialect(LEASE), [breaker_id, slot, lease.epoch, lease.owner, length])
            return lease

    def _free_slot(self, breaker_id: int, epoch: int, permits: int, length: int) -> int | None:
        held, live = set[int](), 0
        for slot, round_epoch, outcome, dead in self._all(self.dialect(SLOTS), [length, breaker_id]):
            running = outcome == 0 and not dead
            live += running
            if running or (round_epoch == epoch and outcome != 0):
                held.add(slot)
        free = (slot for slot in range(permits) if slot not in held)
        return next(free, None) if live < permits else None

    def release(self, lease: Lease) -> None:
        """Give a lease back unused: the probe was interrupted or says nothing about the service."""
        self._run(RELEASE, [lease.breaker_id, lease.slot, lease.owner])

    def settle(self, name: str, lease: Lease, result: ProbeResult, rule: Rule) -> Transition | None:
        """Report a probe. A stale epoch or a slot that was leased again changes nothing."""
        with self._transaction():
            row = self._one(self.dialect(LOCK), [lease.breaker_id])
            settled = self._run(SETTLE, [1 if result.ok else 2, lease.breaker_id, lease.slot, lease.owner])
            if not settled:
                log.warning("breaker.probe_overrun", service=name, seconds=result.seconds, owner=lease.owner)
            if row is None or not settled or row[0] != lease.epoch or row[1] != 1:
                return None
            ok, failed = self._all(TALLY, [lease.breaker_id, lease.epoch])[0]
            verdict = rule.verdict(ok, failed)
            if verdict is None:
                return None
            detail = of_probe(worker=self.worker, ok=ok, failed=failed, **_probe(result))
            return self._decide(name, lease, rule, verdict, row[2], detail)

    def _decide(
        self, name: str, lease: Lease, rule: Rule, closes: bool, streak: int, detail: dict[str, Any]
    ) -> Transition | None:
        text = json.dumps(detail)
        if closes:
            values = [text, lease.breaker_id, lease.epoch]
            return self._note(self.dialect(CLOSE), values, name, lease.breaker_id, Kind.CLOSED, detail)
        streak = min(streak + 1, 30_000)
        wait = rule.wait_after(streak)
        detail |= {"wait": wait, "streak": streak}
        values = [streak, ms(wait), ms(wait), text, lease.breaker_id, lease.epoch]
        return self._note(self.dialect(REOPEN), values, name, lease.breaker_id, Kind.REOPENED, detail)

    # --- housekeeping --------------------------------------------------------------------------
    def forget_old(self) -> None:
        """Remove workers that are gone, their counts, and events older than half a year."""
        self._run(self.dialect(FORGET_WORKERS), [ms(KEEP_WORKERS_S), ms(KEEP_WORKERS_S)])
        self._run(FORGET_WINDOWS, [])
        self._run(self.dialect(FORGET_EVENTS), [ms(KEEP_EVENTS_S)])

    # --- statements ----------------------------------------------------------------------------
    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run(self.dialect.begin)
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            # The connection may be gone, and with it the transaction.
            with suppress(*STORAGE_ERRORS):
                self._run("ROLLBACK")
            raise

    def _run(self, statement: str, values: Sequence[Any] | None = None) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            return int(cursor.rowcount)

    def _all(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def _one(self, statement: str, values: Sequence[Any]) -> tuple[Any, ...] | None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row


def from_json(value: Any) -> Any:
    """A JSON column as a raw cursor gives it: text on both databases."""
    return json.loads(value) if isinstance(value, str | bytes) else value


def _policy(name: str, stored: Any) -> BreakerPolicy:
    try:
        return Service(name=name, breaker=from_json(stored) or {}).breaker_policy
    except PortalError as error:
        log.error("breaker.misconfigured", service=name, error=error.message, used="the defaults")
        return BreakerPolicy.parse({}, at="breaker")


def _view(row: Sequence[Any]) -> View:
    name, config_version, breaker_id, state, epoch, wait_ms = row[:6]
    streak, cfg_version, retry_in, override, left, now = row[6:12]
    return View(
        name=name,
        config_version=config_version,
        breaker_id=breaker_id,
        is_open=state == 1,
        epoch=epoch,
        wait_ms=wait_ms,
        reopen_streak=streak,
        cfg_version=cfg_version,
        retry_in_ms=retry_in,
        override=override,
        override_left_ms=left,
        now_ms=now,
        counts=Counts(*(int(value) for value in row[12:18])),
    )


def _probe(result: ProbeResult) -> dict[str, Any]:
    values = asdict(result)
    values.pop("ok")
    return values
