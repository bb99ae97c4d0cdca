"""The rolling window of a breaker, bucket by bucket, as the database has it now: for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from django.db import connection

from apps.breakers.records import bucket_ms, rule_of
from apps.breakers.sql import Dialect
from apps.breakers.window import Counts
from apps.services.policies import BreakerPolicy

BUCKETS: Final = """
WITH t AS (SELECT {now} AS now), p (name, bucket_ms, buckets) AS (VALUES {spans})
SELECT t.now / p.bucket_ms, k.bucket, SUM(k.ok), SUM(k.fail), SUM(k.timeout), SUM(k.slow), SUM(k.rejected)
FROM p CROSS JOIN t JOIN breaker b ON b.name = p.name
JOIN breaker_window k ON k.breaker_id = b.id AND k.epoch = b.epoch
  AND k.bucket > t.now / p.bucket_ms - p.buckets AND k.bucket <= t.now / p.bucket_ms + 1
GROUP BY t.now, p.bucket_ms, k.bucket"""


@dataclass(frozen=True, slots=True)
class BucketView:
    """What all workers counted in one bucket that ended about ``ago`` seconds ago (0: the one of now)."""

    ago: float
    counts: Counts = field(default_factory=Counts)


def window_buckets(name: str, policy: BreakerPolicy) -> list[BucketView]:
    """The buckets of the window, oldest first, empty ones included. One query."""
    rule = rule_of(policy)
    with connection.cursor() as cursor:
        cursor.execute(Dialect(connection.vendor).spanning(BUCKETS, 1), [name, bucket_ms(rule), rule.buckets])
        rows = cursor.fetchall()
    found: dict[int, Counts] = {}
    for newest, bucket, *sums in rows:
        # A worker whose clock is a little ahead counts into the bucket after this one: it is shown as now.
        found.setdefault(max(0, int(newest) - int(bucket)), Counts()).add(Counts(*map(int, sums)))
    length = rule.window / rule.buckets
    return [BucketView(back * length, found.get(back, Counts())) for back in range(rule.buckets - 1, -1, -1)]
