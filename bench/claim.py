"""What a claim costs when ten million messages were delivered before: with 0, 1 and 10 million old rows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from bench.engine import DATABASE, Portal
from bench.processes import WORK
from bench.servers import Servers

SLOTS = 64
BYTES_PER_ROW = 3000  # table, indexes and their WAL, generously
STAGES = (0, 1_000_000, 10_000_000)
QUICK_STAGES = (0, 1_000_000)


@dataclass(frozen=True)
class ClaimTime:
    """Claims of 64 messages each."""

    delivered: int
    median_ms: float
    p95_ms: float
    claims: int


def stages(quick: bool, free_bytes: int) -> list[int]:
    """The row counts there is room for."""
    wanted = QUICK_STAGES if quick else STAGES
    return [count for count in wanted if count * BYTES_PER_ROW < free_bytes]


def measure(servers: Servers, portal: Portal, quick: bool) -> list[ClaimTime]:
    """Grow the table from stage to stage; empty it at the end."""
    found: list[ClaimTime] = []
    rounds = 200 if quick else 400
    already = 0
    for delivered in stages(quick, shutil.disk_usage(WORK).free):
        result = portal.step("claims", str(delivered - already), str(rounds), str(SLOTS), seconds=900)
        already = delivered
        found.append(ClaimTime(delivered, result["median_ms"], result["p95_ms"], result["claims"]))
        print(
            f"  {delivered:>10,} delivered rows: claim of {SLOTS} in {result['median_ms']:.2f} ms "
            f"(prepared in {result['prepared_s']:.0f} s)",
            flush=True,
        )
    portal.step("fill", servers.sink.url, "0", "64")
    servers.postgres.settle_down(DATABASE)
    return found
