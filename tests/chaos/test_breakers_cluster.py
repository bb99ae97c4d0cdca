"""Breakers over real processes, killed while they work: the cluster vectors D01 to D06, D09, D16."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.db.models import F

from apps.breakers import services
from apps.breakers.models import BreakerEvent, BreakerWorker, ProbeSlot, SharedBreaker
from apps.breakers.selectors import database_ms
from apps.core.actor import Actor
from tests.conftest import make_service
from tests.processes import ROOT, database_url, wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(60)]

POLICY = {
    "timeout": 0.5,
    "volume_threshold": 3,
    "reset_timeout": 0.4,
    "reset_multiplier": 1,
    "rolling_count_timeout": 2,
    "rolling_count_buckets": 4,
    "lease": 1.0,
    "ramp_seconds": 0,
}


class Nursery:
    """The forking process; everything it and its children say is in ``said``."""

    def __init__(self, directory: str) -> None:
        self.said: list[dict[str, Any]] = []
        self.errors = open(f"{directory}/nursery.log", "w+")  # noqa: SIM115 - closed with the nursery
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "opsportal.settings",
            "DATABASE_URL": database_url(),
            "DATA_DIR": directory,
            "SECRET_KEY": settings.SECRET_KEY,
            "LOG_LEVEL": "warning",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.breakers.nursery"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.wait(lambda: any("nursery" in line for line in self.said), 20, "the nursery")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> float:
        try:
            return wait_for(condition, seconds, what, every=0.01)
        except AssertionError as error:
            self.errors.seek(0)
            raise AssertionError(f"{error}\n{self.errors.read()[-3000:]}") from None

    def tell(self, **command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def spawn(self, mode: str, number: int = 1, **options: Any) -> list[int]:
        """The pids of so many new processes."""
        before = len(self.of("spawned"))
        self.tell(spawn=mode, number=number, service="midtrans", **options)
        self.wait(lambda: len(self.of("spawned")) >= before + number, 10, "forks")
        return [line["spawned"] for line in self.of("spawned")[before:]]

    def of(self, key: str, pids: list[int] | None = None) -> list[dict[str, Any]]:
        return [line for line in list(self.said) if key in line and (pids is None or line["pid"] in pids)]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()


@contextmanager
def nursery_of() -> Iterator[Nursery]:
    with tempfile.TemporaryDirectory(prefix="ops-breakers-") as directory:
        made = Nursery(directory)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def nursery(transactional_db: None) -> Iterator[Nursery]:
    with nursery_of() as made:
        yield made


class Downstream:
    """The guarded service: how many probes under a lease run at once, and when other calls came from whom."""

    def __init__(self) -> None:
        self.answer, self.hold = "ok", 0.05
        self.probes = self.most = self.all_probes = 0
        self.plain: list[tuple[float, int]] = []
        self.alone: list[tuple[float, int]] = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self.listener.getsockname()[1])
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            there, _ = self.listener.accept()
            if self.answer == "stop":
                there.close()
                return
            threading.Thread(target=self._serve, args=(there,), daemon=True).start()

    def _serve(self, there: socket.socket) -> None:
        with there:
            words = there.recv(64).decode().split()
            if words[:1] in (["plain"], ["alone"]):
                calls = self.plain if words[0] == "plain" else self.alone
                calls.append((time.monotonic(), int(words[1])))
                self._reply(there)
            elif words[:1] == ["probe"]:
                self._probe(there)

    def _probe(self, there: socket.socket) -> None:
        with self.lock:
            self.probes += 1
            self.all_probes += 1
            self.most = max(self.most, self.probes)
        try:
            # A caller that was killed hangs up: then its call is over.
            gone, _, _ = select.select([there], [], [], self.hold)
            if not gone:
                self._reply(there)
        finally:
            with self.lock:
                self.probes -= 1

    def _reply(self, there: socket.socket) -> None:
        try:
            there.sendall(f"{self.answer}\n".encode())
        except OSError:
            return  # killed meanwhile: that is what the test is about

    def stop(self) -> None:
        self.answer = "stop"
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.thread.join(5)
        self.listener.close()


@pytest.fixture
def downstream() -> Iterator[Downstream]:
    made = Downstream()
    yield made
    made.stop()


def is_open() -> bool:
    return SharedBreaker.objects.filter(name="midtrans", state=1).exists()


def open_now(**fields: Any) -> SharedBreaker:
    """The shared breaker, open and due."""
    row, _ = SharedBreaker.objects.get_or_create(name="midtrans")
    SharedBreaker.objects.filter(pk=row.pk).update(
        state=1, epoch=F("epoch") + 1, probe_at=database_ms(), wait_ms=60_000, **fields
    )
    row.refresh_from_db()
    return row


@pytest.mark.parametrize(("permits", "need"), [(1, 1), (3, 2)])
def test_d01_d02_d03_never_more_probes_than_permits(
    nursery: Nursery, downstream: Downstream, permits: int, need: int
) -> None:
    """8 processes x 4 threads, two outages, killed at random: at most N probes at once, and it recovers."""
    make_service("midtrans", breaker={**POLICY, "half_open_permits": permits, "success_threshold": need})
    rng = random.Random(permits)
    alive = nursery.spawn("call", 8, port=downstream.port, threads=4)
    nursery.wait(lambda: {pid for _, pid in downstream.plain} >= set(alive), 15, "calls of all processes")
    kills = 0
    for _outage in range(2):
        downstream.answer = "fail"
        nursery.wait(is_open, 5, "the opening")
        opened, end = time.monotonic(), time.monotonic() + 2.5
        while time.monotonic() < end:
            victim = alive.pop(rng.randrange(len(alive)))
            os.kill(victim, signal.SIGKILL)
            kills += 1
            alive += nursery.spawn("call", port=downstream.port, threads=4)
            time.sleep(0.15)
        late = [at for at, _ in downstream.plain if opened + 1.3 < at < end]
        assert late == [], "only probes while it is open"
        # At the onset a worker may have opened, and probed, for itself; not after it knows of the others.
        assert [at for at, _ in downstream.alone if opened + 1.3 < at < end] == []
        downstream.answer = "ok"
        recovered = nursery.wait(lambda: not is_open(), 6, "the recovery")
        assert recovered < 4
        since = time.monotonic()
        nursery.wait(
            lambda since=since, alive=tuple(alive): {pid for at, pid in downstream.plain if at > since} >= set(alive),
            5,
            "the recovery of every process",
        )
    assert kills >= 12
    assert downstream.all_probes >= 4
    assert 1 <= downstream.most <= permits


@pytest.mark.parametrize("permits", [1, 3])
def test_d04_racing_for_leases_grants_exactly_the_permits(nursery: Nursery, permits: int) -> None:
    make_service("midtrans", breaker=POLICY)
    row = open_now()
    nursery.spawn("race", 12, permits=permits)
    rounds = 0
    end = time.monotonic() + 3
    while time.monotonic() < end:
        epoch = row.epoch + rounds
        nursery.wait(lambda epoch=epoch: _grants(nursery)[epoch] >= permits, 5, f"the grants of round {rounds}")
        time.sleep(0.03)
        rounds += 1
        with transaction.atomic():
            SharedBreaker.objects.filter(pk=row.pk).update(epoch=F("epoch") + 1)
            ProbeSlot.objects.all().delete()
    grants = _grants(nursery)
    grants.pop(row.epoch + rounds, None)  # the round that was only begun
    assert rounds > 10
    assert set(grants.values()) == {permits}


def _grants(nursery: Nursery) -> Counter[int]:
    return Counter(line["epoch"] for line in nursery.of("slot"))


def test_d05_a_killed_prober_gives_its_slot_back_when_its_lease_ends(nursery: Nursery) -> None:
    make_service("midtrans", breaker={**POLICY, "lease": 1.5})
    open_now()
    nursery.spawn("probe", 4)
    nursery.wait(lambda: len(nursery.of("got")) == 1, 10, "the first probe")
    first = nursery.of("got")[0]
    os.kill(first["pid"], signal.SIGKILL)
    nursery.wait(lambda: len(nursery.of("got")) == 2, 5, "the next probe")
    second = nursery.of("got")[1]
    assert second["got"] == "probe"
    # Not before its end, and not later than one more question (0.15 to 0.35 s).
    assert 1.4 < second["at"] - first["at"] < 2.3


def test_d06_sixteen_processes_crossing_together_give_one_transition(nursery: Nursery) -> None:
    make_service("midtrans", breaker={**POLICY, "volume_threshold": 5, "reset_timeout": 600})
    at = time.monotonic() + 3
    nursery.spawn("cross", 16, at=at, failures=10)
    nursery.wait(lambda: len(nursery.of("ready")) == 16, 10, "sixteen processes")
    assert time.monotonic() < at, "they were not ready in time"
    epoch = SharedBreaker.objects.get().epoch
    nursery.wait(is_open, 6, "the opening")
    time.sleep(1.3)
    assert SharedBreaker.objects.get().epoch == epoch + 1
    assert BreakerEvent.objects.filter(kind="opened").count() == 1
    everybody = BreakerWorker.objects.all()
    wait_for(lambda: [row.seen.get("midtrans") for row in everybody.all()] == [epoch + 1] * 16, 3, "agreement")


def test_d09_an_override_reaches_the_last_of_eight_processes(nursery: Nursery, lead: Actor) -> None:
    make_service("midtrans", breaker=POLICY)
    pids = nursery.spawn("watch", 8)
    latencies = []

    def seen(state: str, since: float) -> list[float]:
        return [line["at"] for line in nursery.of("state", pids) if line["state"] == state and line["at"] > since]

    nursery.wait(lambda: len(seen("CLOSED", 0)) == 8, 10, "eight processes")
    for _ in range(4):
        started = time.monotonic()
        services.force_open(service="midtrans", actor=lead, reason="maintenance", expires_in=600)
        committed = time.monotonic()
        nursery.wait(lambda started=started: len(seen("FORCED_OPEN", started)) == 8, 5, "the override")
        latencies.append(max(seen("FORCED_OPEN", started)) - committed)
        started = time.monotonic()
        services.reset(service="midtrans", actor=lead)
        nursery.wait(lambda started=started: len(seen("CLOSED", started)) == 8, 5, "the reset")
        latencies.append(max(seen("CLOSED", started)) - started)
    assert max(latencies) <= 1.2, latencies


def test_d16_a_child_has_an_agent_of_its_own_and_sees_the_truth(nursery: Nursery) -> None:
    """interlock-cb lets the calls of a child through while the shared state is open."""
    make_service("midtrans", breaker={**POLICY, "reset_timeout": 600})
    nursery.tell(preload="midtrans")
    nursery.wait(lambda: bool(nursery.of("preloaded")), 10, "a guarded call in the parent")
    wait_for(lambda: BreakerWorker.objects.count() == 1, 5, "the parent's agent")
    row = open_now()
    SharedBreaker.objects.update(probe_at=database_ms() + 60_000)
    children = nursery.spawn("watch", 3)
    nursery.wait(lambda: len(nursery.of("refused", children)) == 3, 5, "three refusals")
    assert [line["refused"] for line in nursery.of("refused", children)] == ["OPEN"] * 3
    wait_for(lambda: BreakerWorker.objects.count() == 4, 3, "an agent of each")
    rows = list(BreakerWorker.objects.order_by("pid"))
    assert sorted(row.pid for row in rows) == sorted([nursery.process.pid, *children])
    wait_for(
        lambda: [worker.seen["midtrans"] for worker in BreakerWorker.objects.all()] == [row.epoch] * 4,
        3,
        "agreement",
    )
    # The parent's connection survived its children.
    SharedBreaker.objects.update(state=0, epoch=F("epoch") + 1)
    wait_for(
        lambda: BreakerWorker.objects.get(pid=nursery.process.pid).seen["midtrans"] == row.epoch + 1, 3, "the parent"
    )
