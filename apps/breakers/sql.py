"""The SQL of the shared half, for PostgreSQL and SQLite. ``{now}`` is the database's clock in ms.

All values are parameters; only the names of this file are put together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

CLOCK: Final[Mapping[str, str]] = {
    "postgresql": "(extract(epoch from clock_timestamp()) * 1000)::bigint",
    # julianday, because unixepoch('subsec') needs SQLite 3.42.
    "sqlite": "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)",
}
# A transaction of ours never waits long for a lock: whoever asks is waiting behind it.
BEGIN: Final[Mapping[str, str]] = {
    "postgresql": "BEGIN; SET LOCAL lock_timeout = '250ms'; SET LOCAL statement_timeout = '2s'",
    "sqlite": "BEGIN IMMEDIATE",
}
FOR_UPDATE: Final[Mapping[str, str]] = {"postgresql": "FOR UPDATE", "sqlite": ""}

CONFIG: Final = "SELECT name, breaker, config_version FROM service WHERE name IN ({names})"

CREATE: Final = """
INSERT INTO breaker (name) SELECT name FROM service WHERE name IN ({names}) ORDER BY name
ON CONFLICT (name) DO NOTHING"""

# Rows of other epochs and of older buckets are left out. A remaining wait longer than the wait itself means
# that the clock stepped back: it reads as 0. Only remaining times leave the database, never points in time.
VIEW: Final = """
WITH t AS (SELECT {now} AS now), p (name, bucket_ms, buckets) AS (VALUES {spans}),
w AS (
  SELECT k.breaker_id, k.epoch, SUM(k.ok) AS ok, SUM(k.fail) AS fail, SUM(k.timeout) AS timeout,
    SUM(k.slow) AS slow, SUM(k.rejected) AS rejected, SUM(k.ignored) AS ignored
  FROM p JOIN breaker b ON b.name = p.name CROSS JOIN t
  JOIN breaker_window k ON k.breaker_id = b.id AND k.epoch = b.epoch
    AND k.bucket > t.now / p.bucket_ms - p.buckets AND k.bucket <= t.now / p.bucket_ms + 1
  GROUP BY k.breaker_id, k.epoch)
SELECT s.name, s.config_version, b.id, b.state, b.epoch, b.wait_ms, b.reopen_streak, b.cfg_version,
  CASE WHEN b.probe_at - t.now > b.wait_ms OR b.probe_at < t.now THEN 0 ELSE b.probe_at - t.now END,
  b.override, b.override_until - t.now, t.now,
  COALESCE(w.ok, 0), COALESCE(w.fail, 0), COALESCE(w.timeout, 0), COALESCE(w.slow, 0),
  COALESCE(w.rejected, 0), COALESCE(w.ignored, 0)
FROM p JOIN service s ON s.name = p.name CROSS JOIN t
LEFT JOIN breaker b ON b.name = p.name LEFT JOIN w ON w.breaker_id = b.id"""

# The same, worker by worker, for people.
BY_WORKER: Final = """
WITH t AS (SELECT {now} AS now), p (name, bucket_ms, buckets) AS (VALUES {spans})
SELECT p.name, k.worker, SUM(k.ok), SUM(k.fail), SUM(k.timeout), SUM(k.slow), SUM(k.rejected), SUM(k.ignored)
FROM p JOIN breaker b ON b.name = p.name CROSS JOIN t
JOIN breaker_window k ON k.breaker_id = b.id AND k.epoch = b.epoch
  AND k.bucket > t.now / p.bucket_ms - p.buckets AND k.bucket <= t.now / p.bucket_ms + 1
GROUP BY p.name, k.worker"""

FLUSH: Final = """
INSERT INTO breaker_window
  (breaker_id, worker, slot, bucket, epoch, ok, fail, timeout, slow, rejected, ignored, errors)
VALUES {rows}
ON CONFLICT (breaker_id, worker, slot) DO UPDATE SET {sums},
  errors = CASE WHEN excluded.errors IS NULL AND {same} THEN breaker_window.errors ELSE excluded.errors END,
  bucket = excluded.bucket, epoch = excluded.epoch"""
_SAME: Final = "breaker_window.bucket = excluded.bucket AND breaker_window.epoch = excluded.epoch"
_COUNTERS: Final = ("ok", "fail", "timeout", "slow", "rejected", "ignored")

# Processes add to the same rows, in the order of the key, so that two of them can never wait for each other.
HISTORY: Final = """
INSERT INTO breaker_history (breaker_id, at, ok, fail, timeout, slow, rejected) VALUES {rows}
ON CONFLICT (breaker_id, at) DO UPDATE SET {sums}"""

WORKER: Final = """
INSERT INTO breaker_worker (worker, host, pid, queue, synced_at, seen, local_open)
VALUES (%s, %s, %s, %s, {now}, %s, %s)
ON CONFLICT (worker) DO UPDATE SET synced_at = excluded.synced_at, seen = excluded.seen,
  local_open = excluded.local_open"""

# Compare and set: of all processes that see the threshold crossed exactly one changes the row.
TRIP: Final = """
UPDATE breaker SET state = 1, epoch = epoch + 1, opened_at = {now}, wait_ms = %s, probe_at = {now} + %s,
  reopen_streak = 0, evidence = %s
WHERE id = %s AND epoch = %s AND state = 0 AND (override = 0 OR override_until <= {now})
RETURNING epoch"""

# The row stays locked until the end of the transaction, so that asking and settling are one at a time.
LOCK_DUE: Final = """
SELECT epoch FROM breaker
WHERE id = %s AND state = 1 AND (probe_at <= {now} OR probe_at - {now} > wait_ms)
  AND (override = 0 OR override_until <= {now}) {for_update}"""
SLOTS: Final = """
SELECT slot, epoch, outcome, CASE WHEN lease_until <= {now} OR lease_until > {now} + %s THEN 1 ELSE 0 END
FROM breaker_probe WHERE breaker_id = %s"""
LEASE: Final = """
INSERT INTO breaker_probe (breaker_id, slot, epoch, owner, lease_until, outcome) VALUES (%s, %s, %s, %s, {now} + %s, 0)
ON CONFLICT (breaker_id, slot) DO UPDATE SET epoch = excluded.epoch, owner = excluded.owner,
  lease_until = excluded.lease_until, outcome = 0"""
RELEASE: Final = "UPDATE breaker_probe SET lease_until = 0 WHERE breaker_id = %s AND slot = %s AND owner = %s"

LOCK: Final = "SELECT epoch, state, reopen_streak FROM breaker WHERE id = %s {for_update}"
SETTLE: Final = """
UPDATE breaker_probe SET outcome = %s WHERE breaker_id = %s AND slot = %s AND owner = %s AND outcome = 0"""
TALLY: Final = """
SELECT COALESCE(SUM(CASE WHEN outcome = 1 THEN 1 ELSE 0 END), 0),
  COALESCE(SUM(CASE WHEN outcome = 2 THEN 1 ELSE 0 END), 0)
FROM breaker_probe WHERE breaker_id = %s AND epoch = %s"""
REOPEN: Final = """
UPDATE breaker SET epoch = epoch + 1, reopen_streak = %s, wait_ms = %s, probe_at = {now} + %s, evidence = %s
WHERE id = %s AND epoch = %s RETURNING epoch"""
CLOSE: Final = """
UPDATE breaker SET state = 0, epoch = epoch + 1, opened_at = NULL, reopen_streak = 0, wait_ms = 0, probe_at = 0,
  evidence = %s
WHERE id = %s AND epoch = %s RETURNING epoch"""

CLOSE_LOCAL: Final = """
UPDATE breaker SET state = 0, opened_at = NULL WHERE id = %s AND epoch = %s AND state = 1 AND override = 0"""

# An override that is over is over for everybody at once; this only writes it down and starts a new epoch.
END_OVERRIDE: Final = """
UPDATE breaker SET override = 0, override_until = NULL, override_by = '', override_reason = '', epoch = epoch + 1
WHERE id = %s AND epoch = %s AND override <> 0 AND override_until <= {now} RETURNING epoch"""
# New settings start a new round of probes: half of an old one may never reach a verdict under them.
CONFIGURED: Final = """
UPDATE breaker SET cfg_version = %s, epoch = epoch + CASE WHEN state = 1 AND cfg_version <> 0 THEN 1 ELSE 0 END
WHERE id = %s AND cfg_version = %s RETURNING epoch"""

EVENT: Final = """
INSERT INTO breaker_event (breaker_id, at, epoch, kind, actor, detail) VALUES (%s, {now} - %s, %s, %s, %s, %s)
RETURNING id"""

CONTRIBUTIONS: Final = """
WITH t AS (SELECT {now} AS now)
SELECT k.worker, k.ok, k.fail, k.timeout, k.slow, k.rejected, k.ignored, k.errors FROM breaker_window k CROSS JOIN t
WHERE k.breaker_id = %s AND k.epoch = %s
  AND k.bucket > t.now / CAST(%s AS BIGINT) - CAST(%s AS BIGINT) AND k.bucket <= t.now / CAST(%s AS BIGINT) + 1"""

FORGET_WORKERS: Final = "DELETE FROM breaker_worker WHERE synced_at < {now} - %s OR synced_at > {now} + %s"
FORGET_WINDOWS: Final = """
DELETE FROM breaker_window WHERE worker NOT IN (SELECT worker FROM breaker_worker)"""
FORGET_EVENTS: Final = "DELETE FROM breaker_event WHERE at < {now} - %s"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The statements for one database. ``skew_ms`` moves the clock: tests step it."""

    vendor: str
    skew_ms: int = 0

    @property
    def now(self) -> str:
        clock = CLOCK[self.vendor]
        return f"({clock} + {int(self.skew_ms)})" if self.skew_ms else clock

    @property
    def begin(self) -> str:
        return BEGIN[self.vendor]

    def __call__(self, statement: str, **parts: str) -> str:
        """``statement`` with this database's clock and row lock."""
        return statement.format(now=self.now, for_update=FOR_UPDATE[self.vendor], **parts)

    def names(self, statement: str, names: Sequence[str]) -> str:
        return self(statement, names=", ".join(["%s"] * len(names)))

    def spanning(self, statement: str, count: int) -> str:
        """Parameters: name, bucket length in ms and number of buckets of each of ``count`` breakers."""
        span = "(CAST(%s AS VARCHAR), CAST(%s AS BIGINT), CAST(%s AS BIGINT))"
        return self(statement, spans=", ".join([span] * count))

    def flush(self, count: int) -> str:
        sums = ", ".join(
            f"{name} = excluded.{name} + CASE WHEN {_SAME} THEN breaker_window.{name} ELSE 0 END" for name in _COUNTERS
        )
        row = f"({', '.join(['%s'] * 12)})"
        return self(FLUSH, rows=", ".join([row] * count), sums=sums, same=_SAME)

    def history(self, count: int) -> str:
        names = [name for name in _COUNTERS if name != "ignored"]
        sums = ", ".join(f"{name} = breaker_history.{name} + excluded.{name}" for name in names)
        return self(HISTORY, rows=", ".join([f"({', '.join(['%s'] * 7)})"] * count), sums=sums)


def in_order(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows sorted by key, so that two writers can never wait for each other."""
    return sorted(rows, key=lambda row: row[:3])
