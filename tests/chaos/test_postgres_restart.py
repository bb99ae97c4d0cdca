"""PostgreSQL restarted under the engine, gently and by killing it. Runs on a cluster of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts import postgres
from tests.processes import ROOT, Stack, stack, wait_for
from tests.provider import Provider

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

TOTAL = 5000
IN_FLIGHT = 64


@dataclass
class Cluster:
    """A PostgreSQL that the test may restart."""

    url: str
    binaries: Path
    folder: Path

    def restart(self, how: str) -> None:
        postgres.restart(self.binaries, self.folder, how)

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(sql, parameters).fetchall()  # type: ignore[arg-type]  # a literal of this file


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    binaries = postgres.find_binaries()
    # Not pytest's folder: the account that runs PostgreSQL may not enter that one.
    with tempfile.TemporaryDirectory(prefix="pg-") as folder, postgres.cluster(binaries, Path(folder)) as url:
        yield Cluster(url, binaries, Path(folder))


@pytest.fixture
def portal(cluster: Cluster) -> Iterator[Stack]:
    with stack() as running:
        running.extra_env["DATABASE_URL"] = cluster.url
        yield running


def prepare(portal: Stack, cluster: Cluster, url: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "-v", "0"]
    subprocess.run(command, cwd=ROOT, env=portal.environment(), check=True)
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute(
            """INSERT INTO service (name, channel, settings, retry, breaker, limits, ordering, probe, updated_at)
               VALUES ('midtrans', 'http', jsonb_build_object('url', %s::text), '{"base": 0.2, "cap": 1}',
                       '{"timeout": 1, "volume_threshold": 100000}', jsonb_build_object('max_in_flight', %s::int),
                       '{}', '{}', now())""",
            [url, IN_FLIGHT],
        )
        connection.execute(
            "INSERT INTO notification_outbox (service, payload) SELECT 'midtrans', '{}' FROM generate_series(1, %s)",
            [TOTAL],
        )


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_restart_loses_nothing_and_repeats_little(how: str, cluster: Cluster, portal: Stack) -> None:
    """``immediate`` is a crash: connections break in the middle of a statement, and recovery follows."""
    with Provider(script=lambda key, times: (200, 0.01)) as provider:
        prepare(portal, cluster, provider.url)
        portal.start_delivery()
        wait_for(lambda: len(provider.received) > 1000, 60, "a thousand deliveries")
        cluster.restart(how)
        before = len(provider.received)
        took = wait_for(lambda: len(provider.received) > before + 100, 20, "delivery after the restart")
        open_rows = "SELECT count(*) FROM notification_outbox WHERE status <> 'SENT'"
        wait_for(lambda: cluster.rows(open_rows) == [(0,)], 120, "the end of delivery", every=0.3)
    assert took < 5
    assert len(provider.succeeded) == TOTAL
    assert sum(provider.succeeded.values()) - TOTAL <= IN_FLIGHT
    assert cluster.rows("SELECT count(*) FROM delivery_attempt WHERE outcome = 'sent'")[0][0] >= TOTAL - IN_FLIGHT
