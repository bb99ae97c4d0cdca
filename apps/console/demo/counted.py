"""How midtrans was called in the last day, in buckets of 10 s, and how its settings changed."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Final

from apps.breakers.history import HISTORY_MS
from apps.breakers.models import HistoryBucket, SharedBreaker
from apps.services.definition import definition_of
from apps.services.models import Service, ServiceVersion

HOURS: Final = 24
# Minutes before the night's end, for how many buckets, and which part of the calls failed. The second and the last
# opened the breaker; the others would have with a lower threshold, or a smaller volume.
TROUBLES: Final = ((1180, 4, 0.42), (48.1, 1, 0.9), (612, 3, 0.44), (305, 5, 0.38), (6.35, 1, 0.66))
OPEN: Final = ((48.0, 46.0), (6.2, -1.0))  # minutes before the end in which nothing was let through


def make_history(moment: datetime, random: Random, scale: float) -> None:
    """Calm traffic, five troubles; less far back for a smaller scale."""
    breaker = SharedBreaker.objects.get(name="midtrans")
    end = int(moment.timestamp() * 1000) // HISTORY_MS * HISTORY_MS
    buckets = int(HOURS * 360 * max(scale, 0.1))
    rows = [_row(breaker, end - back * HISTORY_MS, back / 6, random) for back in range(buckets, 0, -1)]
    HistoryBucket.objects.bulk_create([row for row in rows if row.ok + row.fail + row.rejected], batch_size=2000)


def _row(breaker: SharedBreaker, at: int, minutes_ago: float, random: Random) -> HistoryBucket:
    calls = random.randint(28, 44)
    if any(start > minutes_ago > end for start, end in OPEN):
        return HistoryBucket(breaker=breaker, at=at, ok=0, fail=0, timeout=0, slow=0, rejected=calls)
    share = next(
        (part for since, length, part in TROUBLES if 0 <= (since - minutes_ago) * 6 < length),
        0.25 * random.random() if random.random() < 0.05 else 0.0,
    )
    failed = round(calls * share)
    timed_out = failed // 3
    return HistoryBucket(
        breaker=breaker,
        at=at,
        ok=calls - failed,
        fail=failed - timed_out,
        timeout=timed_out,
        slow=timed_out,
        rejected=0,
    )


def make_versions(moment: datetime) -> None:
    """Somebody found the threshold of midtrans too low, three days ago."""
    service = Service.objects.get(pk="midtrans")
    if service.versions.exists():
        return
    before = {**definition_of(service), "breaker": {**service.breaker, "error_threshold_percentage": 40}}
    for version, definition, at, by, reason in (
        (1, before, moment - timedelta(days=40), "", ""),
        (2, definition_of(service), moment - timedelta(days=3), "lead@example.com", "too nervous at night"),
    ):
        ServiceVersion.objects.create(
            service=service, version=version, definition=definition, at=at, by=by, reason=reason
        )
    Service.objects.filter(pk="midtrans").update(config_version=2)
