"""Celery on Valkey as most projects run it: one task per message, acknowledged late, no result kept."""

from __future__ import annotations

from celery import Celery

from bench.payload import BODY, wire_id
from bench.peers import blocking

app = Celery("bench", broker=blocking.CONFIG.broker)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=blocking.CONFIG.number("prefetch", 4),
    # kombu allows 10 connections, which loses acknowledgements with many green threads.
    broker_transport_options={"max_connections": 1000},
    broker_connection_retry_on_startup=True,
)


@app.task(name="bench.deliver")
def deliver(identity: str, body: str) -> None:
    blocking.deliver(identity, body)


def fill(count: int) -> None:
    """One publish per message: Celery has no batch."""
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(count):
            deliver.apply_async((wire_id(number), BODY), producer=producer)
