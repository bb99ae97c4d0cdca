"""A broker that goes away while it has handed out something that nobody has acknowledged yet."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsportal.celery import app
from tests.processes import Stack


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Stack]:
    running = Stack(tmp_path)
    running.environment = lambda: dict(os.environ)  # type: ignore[method-assign]
    running.start_broker()
    yield running
    running.stop()


def test_a_worker_outlives_a_broker_that_dies_with_something_unacknowledged(broker: Stack) -> None:
    """What a worker does before it connects anew, and what a task does that ends after that: neither may fail."""
    with app.connection_for_read(url=f"redis+socket://{broker.socket_path}") as connection:
        queue = connection.SimpleQueue("control")
        queue.put({})
        message = queue.get(timeout=10)
        broker.stop_broker()
        connection.collect(socket_timeout=1)
        connection.close()
        message.channel._disconnect_pools()  # how far closing gets depends on where the connection broke
        message.ack_log_error(logging.getLogger("test"), connection.connection_errors)


def test_what_is_acknowledged_is_gone(broker: Stack) -> None:
    with app.connection_for_read(url=f"redis+socket://{broker.socket_path}") as connection:
        queue = connection.SimpleQueue("control")
        queue.put({})
        message = queue.get(timeout=10)
        assert message.channel.client.hlen("unacked") == 1
        message.ack()
        assert message.channel.client.hlen("unacked") == 0
