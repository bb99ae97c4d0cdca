"""The peers, their commands, and the settings each is tried with. Pure: imports no peer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.peers.config import Option


@dataclass(frozen=True)
class Setting:
    """One way to run a peer: what people read in the table, and the options behind it."""

    label: str
    options: Mapping[str, Option]


@dataclass(frozen=True)
class Peer:
    """``sweep`` and ``messages`` are by provider latency in ms; ``command`` makes the worker's arguments.

    The first setting of a sweep is the one a quick run takes, so it is the one that did best here.
    """

    name: str
    module: str
    package: str
    command: Callable[[Setting], list[str]]
    sweep: Mapping[int, tuple[Setting, ...]]
    messages: Mapping[int, int]


def _celery(setting: Setting) -> list[str]:
    pool, concurrency = str(setting.options.get("kind", "prefork")), str(setting.options["concurrency"])
    quiet = ["-l", "warning", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    return ["celery", "-A", "bench.peers.celery_tasks", "worker", "-P", pool, "-c", concurrency, *quiet]


def _dramatiq(setting: Setting) -> list[str]:
    program = "dramatiq-gevent" if setting.options.get("kind") == "gevent" else "dramatiq"
    processes, threads = str(setting.options["processes"]), str(setting.options["threads"])
    return [program, "bench.peers.dramatiq_tasks", "-p", processes, "-t", threads]


def _huey(setting: Setting) -> list[str]:
    kind, workers = str(setting.options["kind"]), str(setting.options["concurrency"])
    # Its defaults back off to 10 s between polls of an empty queue; a short one suits it better.
    return ["huey_consumer", "bench.peers.huey_tasks.huey", "-k", kind, "-w", workers, "-q", "-m", "0.1", "-n"]


def _asynchronous(module: str) -> Callable[[Setting], list[str]]:
    return lambda _: ["python", "-m", "bench.peers", "work", module]


def _prefork(concurrency: int, prefetch: int) -> Setting:
    return Setting(f"prefork -c {concurrency}, prefetch {prefetch}", {"concurrency": concurrency, "prefetch": prefetch})


def _gevent(concurrency: int) -> Setting:
    options: dict[str, Option] = {"kind": "gevent", "concurrency": concurrency, "prefetch": 4}
    options |= {"shared_session": True, "pooled": True}
    return Setting(f"gevent -c {concurrency}", options)


def _threads(kind: str, processes: int, threads: int) -> Setting:
    program = "dramatiq-gevent" if kind == "gevent" else "dramatiq"
    options: dict[str, Option] = {"kind": kind, "processes": processes, "threads": threads, "pooled": threads > 16}
    return Setting(f"{program} -p {processes} -t {threads}", options)


def _workers(kind: str, count: int) -> Setting:
    pooled = kind != "process" and count > 16
    return Setting(f"-k {kind} -w {count}", {"kind": kind, "concurrency": count, "pooled": pooled})


def _concurrency(count: int, pool: int, delete: str = "never") -> Setting:
    label = f"concurrency {count}, pool {pool}" + (", delete_jobs" if delete != "never" else "")
    return Setting(label, {"concurrency": count, "pool": pool, "delete_jobs": delete, "connections": count})


def _batch(size: int, tasks: int, pool: int = 8, uvloop: bool = False) -> Setting:
    label = f"batch {size}, {tasks or 'unlimited'} tasks, pool {pool}" + (", uvloop" if uvloop else "")
    connections = min(tasks or 1000, 1000)
    options: dict[str, Option] = {
        "batch": size,
        "tasks": tasks,
        "pool": pool,
        "connections": connections,
        "uvloop": uvloop,
    }
    return Setting(label, options)


PEERS = (
    Peer(
        "Celery",
        "celery_tasks",
        "celery",
        _celery,
        {
            0: (_prefork(4, 64), _prefork(2, 64), _prefork(4, 4), _prefork(8, 16)),
            100: (_gevent(300), _gevent(100), _prefork(32, 4), _prefork(64, 4)),
        },
        {0: 3000, 100: 1500},
    ),
    Peer(
        "procrastinate",
        "procrastinate_tasks",
        "procrastinate",
        _asynchronous("procrastinate_tasks"),
        {
            0: (_concurrency(32, 10), _concurrency(16, 10), _concurrency(64, 20), _concurrency(32, 10, "successful")),
            100: (_concurrency(64, 10), _concurrency(256, 10), _concurrency(256, 20, "successful")),
        },
        {0: 2500, 100: 1500},
    ),
    Peer(
        "dramatiq",
        "dramatiq_tasks",
        "dramatiq",
        _dramatiq,
        {
            0: (
                _threads("thread", 4, 8),
                _threads("thread", 2, 16),
                _threads("thread", 4, 2),
                _threads("gevent", 2, 32),
            ),
            100: (_threads("thread", 4, 64), _threads("thread", 4, 32), _threads("gevent", 2, 250)),
        },
        {0: 8000, 100: 4000},
    ),
    Peer(
        "huey",
        "huey_tasks",
        "huey",
        _huey,
        {
            0: (_workers("process", 4), _workers("process", 2), _workers("process", 8), _workers("thread", 8)),
            100: (_workers("greenlet", 300), _workers("thread", 128), _workers("process", 64)),
        },
        {0: 8000, 100: 3000},
    ),
    Peer(
        "pgqueuer",
        "pgqueuer_tasks",
        "pgqueuer",
        _asynchronous("pgqueuer_tasks"),
        {
            0: (_batch(200, 0), _batch(200, 400), _batch(100, 200), _batch(500, 1000), _batch(200, 400, 8, True)),
            100: (_batch(500, 1000), _batch(500, 1000, 8, True), _batch(200, 400)),
        },
        {0: 15000, 100: 6000},
    ),
)
