"""What was counted, in buckets of 10 s, kept for two weeks: what :mod:`apps.breakers.whatif` replays.

Each process adds what it has flushed to the shared window, in one statement every 5 s: rows of one moment are
shared by all processes, and added to rather than overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from django.db import connection

from apps.breakers.models import SharedBreaker
from apps.breakers.window import Counts

HISTORY_MS: Final = 10_000
WRITE_S: Final = 5.0
KEEP_MS: Final = 14 * 86_400_000
# While nothing can be written the oldest are let go: this is for looking back, not for deciding.
CELLS_KEPT: Final = 2000
BATCH: Final = 1000
BATCHES: Final = 50

Cells = Mapping[tuple[int, int], Counts]


@dataclass(slots=True)
class Ledger:
    """What this process has counted and not written yet, by breaker and start of the 10 s in ms."""

    cells: dict[tuple[int, int], Counts] = field(default_factory=dict)
    written_at: float = float("-inf")

    def add(self, breaker_id: int, at_ms: float, counts: Counts) -> None:
        """``at_ms`` is any moment of the bucket, on the database's clock."""
        key = (breaker_id, int(at_ms // HISTORY_MS) * HISTORY_MS)
        self.cells.setdefault(key, Counts()).add(counts)
        if len(self.cells) > CELLS_KEPT:
            del self.cells[min(self.cells, key=lambda cell: cell[1])]

    def due(self, now: float) -> bool:
        return bool(self.cells) and now - self.written_at >= WRITE_S

    def written(self, now: float) -> None:
        """The database has them."""
        self.cells, self.written_at = {}, now


def prune_history(now_ms: int, *, batch: int = BATCH) -> int:
    """Delete what is older than two weeks, ``batch`` rows at a time; returns how many rows went."""
    horizon, gone = now_ms - KEEP_MS, 0
    for breaker_id in SharedBreaker.objects.values_list("id", flat=True):
        for _ in range(BATCHES):
            deleted = _delete(breaker_id, horizon, batch)
            gone += deleted
            if deleted < batch:
                break
    return gone


def _delete(breaker_id: int, horizon: int, batch: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(PRUNE, [breaker_id, breaker_id, horizon, batch])
        return int(cursor.rowcount)


PRUNE: Final = """
DELETE FROM breaker_history WHERE breaker_id = %s AND at IN (
  SELECT at FROM breaker_history WHERE breaker_id = %s AND at < %s ORDER BY at LIMIT %s)"""
