"""The process around the breakers: its name, its agent, its news, its end."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from celery.signals import worker_process_shutdown

from apps.breakers.guard import Breaker
from apps.breakers.models import BreakerEvent, BreakerWorker, WindowBucket
from apps.breakers.records import Transition
from apps.breakers.runtime import RUNTIME, Runtime, announce, process_role, this_process
from apps.breakers.selectors import workers
from apps.breakers.signals import breaker_changed
from apps.breakers.store import KEEP_EVENTS_S, KEEP_WORKERS_S, Store
from tests.breakers.world import World
from tests.conftest import make_service
from tests.processes import wait_for


@pytest.mark.parametrize(
    ("argv", "role"),
    [
        (["/x/bin/celery", "-A", "opsportal", "worker", "-Q", "delivery"], "delivery"),
        (["/x/celery/__main__.py", "-A", "opsportal", "worker", "--queues", "control"], "control"),
        (["/x/bin/celery", "-A", "opsportal", "beat"], "beat"),
        (["/x/bin/celery", "-A", "opsportal", "worker"], "celery"),
        (["/x/bin/gunicorn", "opsportal.wsgi"], "web"),
        (["manage.py", "runserver"], "web"),
        (["manage.py", "outbox", "send"], "outbox"),
        (["/x/script.py"], "script.py"),
        (["-c"], "python"),
        ([""], "python"),
        ([], "python"),
    ],
)
def test_what_a_process_is_called(monkeypatch: pytest.MonkeyPatch, argv: list[str], role: str) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert process_role() == role


@pytest.mark.django_db
def test_two_stores_of_a_process_have_names_of_their_own() -> None:
    assert this_process().worker != this_process().worker


def test_a_receiver_that_fails_disturbs_nobody() -> None:
    heard: list[dict[str, Any]] = []

    def fails(**news: Any) -> None:
        raise ValueError("receiver")

    def hears(**news: Any) -> None:
        heard.append({name: news[name] for name in ("service", "kind", "epoch", "event_id")})

    breaker_changed.connect(fails)
    breaker_changed.connect(hears)
    try:
        from apps.breakers.machine import Kind

        announce(Transition("midtrans", Kind.OPENED, 2, 7))
        wait_for(lambda: bool(heard), 3, "the news")
        _join("breakers-news")
    finally:
        breaker_changed.disconnect(fails)
        breaker_changed.disconnect(hears)
    assert heard == [{"service": "midtrans", "kind": "opened", "epoch": 2, "event_id": 7}]


def _join(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(3)


@pytest.mark.django_db(transaction=True)
def test_what_is_old_is_removed(cluster: World) -> None:
    make_service("midtrans", breaker={"volume_threshold": 1})
    a, b = cluster.worker("a"), cluster.worker("b")
    for worker in (a, b):
        worker.breaker("midtrans")
    a.calls("midtrans", failures=1)
    a.sync()
    b.calls("midtrans", ok=1)
    cluster.advance(KEEP_WORKERS_S + 10)
    b.sync()
    b.store.forget_old()
    assert [row.worker for row in BreakerWorker.objects.all()] == ["b"]
    assert {row.worker for row in WindowBucket.objects.all()} <= {"b"}
    assert BreakerEvent.objects.count() == 1
    cluster.advance(KEEP_EVENTS_S)
    b.store.forget_old()
    assert not BreakerEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_worker_signs_off(runtime: None) -> None:
    make_service("midtrans")
    from apps.breakers.guard import breaker

    with breaker("midtrans"):
        pass
    wait_for(lambda: len(workers()) == 1, 3, "the worker")
    assert not workers()[0].behind
    with breaker("midtrans"):
        pass
    # What Celery sends to a child of its pool that ends; what it had counted is written.
    worker_process_shutdown.send(sender=None)
    assert workers() == []
    assert sum(WindowBucket.objects.values_list("ok", flat=True)) >= 1


@pytest.mark.django_db(transaction=True)
def test_an_agent_that_dies_of_a_bug_is_replaced_and_says_so() -> None:
    make_service("midtrans")
    broken = [True]

    class Broken(Store):
        def views(self, rules: Any) -> Any:
            if broken[0]:
                raise ZeroDivisionError("a bug")
            return super().views(rules)

    runtime = Runtime(lambda: Broken("broken"))
    guard = Breaker("midtrans", runtime)
    try:
        with guard:
            pass
        wait_for(lambda: not runtime._agent.alive(), 3, "the end of the agent")
        broken[0] = False
        with guard:
            pass
        wait_for(lambda: guard._local.view is not None, 3, "another agent")
    finally:
        runtime.stop(5)


@pytest.mark.django_db(transaction=True)
def test_no_thread_to_be_had_means_counting_here_only(monkeypatch: pytest.MonkeyPatch) -> None:
    make_service("midtrans")
    runtime = Runtime(lambda: Store("none"))

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        guard = Breaker("midtrans", runtime)
        with guard:
            pass
    assert guard.state() == "CLOSED"


@pytest.mark.django_db(transaction=True)
def test_after_a_fork_nothing_of_the_parent_is_believed(runtime: None) -> None:
    """What the child runs; with a real fork: test_d16 in tests/chaos."""
    make_service("midtrans", breaker={"volume_threshold": 1, "reset_timeout": 60})
    guard = Breaker("midtrans")
    with guard:
        pass
    agent = RUNTIME.agent()
    permit = guard.enter()
    lock = guard._local.lock
    RUNTIME.after_fork()
    try:
        assert guard._local.lock is not lock
        assert guard._local.view is None
        permit.success(0.1)
        assert guard._local.ok == 0, "a call of the parent"
        with guard:
            pass
        assert RUNTIME.agent() is not agent
    finally:
        agent.stop(5)
        RUNTIME._inherited.clear()
