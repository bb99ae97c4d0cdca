"""Steps that run inside the portal's own code, in a process of their own: `python -m bench.portal STEP ...`.

The driver runs them once against PostgreSQL and once against SQLite, which one process cannot do. Each
prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from statistics import median
from typing import Any, Final

SERVICE: Final = "bench"
EMPTIED: Final = ("replay_item", "replay", "dead_letter", "delivery_attempt", "notification_outbox", "delivery_minute")
BATCH: Final = 1000
SETTLED: Final = "UPDATE notification_outbox SET status = 'SENT', lease_until = NULL WHERE status = 'SENDING'"


def _execute(sql: str, parameters: Iterable[Any] = ()) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, list(parameters))


def _is_postgres() -> bool:
    from django.db import connection

    return bool(connection.vendor == "postgresql")


def configure(url: str, in_flight: int) -> None:
    """The one service of the run: HTTP, unsigned as the peers are, its breaker as shipped."""
    from apps.outbox.models import DeliveryLane
    from apps.services.models import Service

    Service.objects.update_or_create(
        name=SERVICE,
        defaults={"channel": "http", "settings": {"url": url}, "limits": {"max_in_flight": in_flight}},
    )
    DeliveryLane.objects.get_or_create(service_id=SERVICE)


def empty() -> None:
    """As on the first run."""
    if _is_postgres():
        _execute(f"TRUNCATE {', '.join(EMPTIED)} RESTART IDENTITY CASCADE")
        return
    for table in EMPTIED:
        _execute(f"DELETE FROM {table}")
    _execute("PRAGMA wal_checkpoint(TRUNCATE)")


def series(count: int, columns: str, values: str, parameters: Iterable[Any]) -> None:
    """Insert ``count`` equal messages with plain SQL: the defaults live in the database."""
    from django.db import transaction

    source = f"generate_series(1, {count})"
    with_clause = ""
    if not _is_postgres():
        with_clause = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
        source = "n"
    with transaction.atomic():
        _execute(f"INSERT INTO notification_outbox ({columns}) {with_clause}SELECT {values} FROM {source}", parameters)


def insert_waiting(count: int) -> None:
    from bench.payload import BODY, CONTENT_TYPE

    series(count, "service, payload, content_type", "%s, %s, %s", [SERVICE, BODY, CONTENT_TYPE])


def insert_delivered(count: int) -> None:
    """Rows as delivery leaves them: SENT, one attempt, settled."""
    from django.utils import timezone

    from bench.payload import BODY, CONTENT_TYPE

    columns = "service, payload, content_type, status, attempt_count, attempt_total, sent_at, settled_at"
    now = timezone.now()
    series(count, columns, "%s, %s, %s, 'SENT', 1, 1, %s, %s", [SERVICE, BODY, CONTENT_TYPE, now, now])


def fill(url: str, count: str, in_flight: str) -> dict[str, Any]:
    """An outbox that holds ``count`` waiting messages and nothing else."""
    configure(url, int(in_flight))
    empty()
    insert_waiting(int(count))
    return {"filled": int(count)}


def state() -> dict[str, Any]:
    """How many messages are SENT, how many are anything else, how many have their attempt record."""
    from apps.outbox.models import Attempt, Message

    done = Message.objects.filter(status="SENT").count()
    attempts = Attempt.objects.filter(outcome="sent").values("message").distinct().count()
    return {"sent": done, "other": Message.objects.count() - done, "attempts": attempts}


def _settle_down() -> None:
    """Statistics are fresh and no checkpoint is left to be paid by what is measured."""
    for statement in ("VACUUM ANALYZE notification_outbox", "CHECKPOINT") if _is_postgres() else ("ANALYZE",):
        _execute(statement)


def _claims(rounds: int, slots: int) -> Iterable[float]:
    """Seconds of each claim. What was claimed is settled in between, untimed, so that rows move on as in life."""
    from apps.outbox.delivery.claim import Want, claim

    want = Want(service=SERVICE, slots=slots, lease_s=20.0, max_in_flight=10_000, max_per_second=None)
    for _ in range(rounds):
        started = time.perf_counter()
        found = claim(want, "bench")
        seconds = time.perf_counter() - started
        if len(found.rows) == slots:
            yield seconds
        _execute(SETTLED)


def claims(more_delivered: str, rounds: str, slots: str) -> dict[str, Any]:
    """Add delivered rows, then the median claim, in ms. A warm-up of 20 claims is not counted."""
    configure("http://127.0.0.1:9/", 10_000)
    started = time.perf_counter()
    if int(more_delivered):
        insert_delivered(int(more_delivered))
    insert_waiting((int(rounds) + 20) * int(slots))
    _settle_down()
    prepared = time.perf_counter() - started
    times = list(_claims(int(rounds) + 20, int(slots)))[20:]
    spread = sorted(times)
    return {
        "median_ms": median(times) * 1000,
        "p95_ms": spread[int(len(spread) * 0.95)] * 1000,
        "claims": len(times),
        "prepared_s": prepared,
    }


def _per_second(count: int, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def enqueue(url: str, count: str) -> dict[str, Any]:
    """Accepted messages per second in Python: each in a transaction of its own, then 1,000 at a time."""
    from apps.outbox.services import enqueue as accept_one
    from apps.outbox.services import enqueue_many
    from bench.payload import BODY, CONTENT_TYPE

    configure(url, 64)
    empty()
    fields = {"service": SERVICE, "payload": BODY, "content_type": CONTENT_TYPE}
    singles = int(count)

    def one_by_one() -> None:
        for _ in range(singles):
            accept_one(service=SERVICE, payload=BODY, content_type=CONTENT_TYPE)

    def in_batches() -> None:
        items = iter([fields] * singles * 5)
        while batch := list(islice(items, BATCH)):
            enqueue_many(batch)

    return {"single": _per_second(singles, one_by_one), "batch": _per_second(singles * 5, in_batches)}


STEPS: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    "fill": fill,
    "state": state,
    "claims": claims,
    "enqueue": enqueue,
}


def main(step: str, *arguments: str) -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsportal.settings")
    django.setup()
    print(json.dumps(STEPS[step](*arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
