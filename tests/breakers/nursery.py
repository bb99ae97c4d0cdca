"""A process that sets Django up once and then forks others that use breakers, for tests that kill them.

It reads one JSON command per line, ``{"spawn": mode, "number": n, ...}`` or ``{"preload": service}``, and ends when
its input ends, with all that it forked. Children write JSON lines. Times are of CLOCK_MONOTONIC, which all share.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

import django


def say(**what: Any) -> None:
    os.write(1, (json.dumps({"pid": os.getpid(), "at": time.monotonic(), **what}) + "\n").encode())


def orphaned(parent: int) -> bool:
    return os.getppid() != parent


# --- what a child does ------------------------------------------------------------------------
def call(parent: int, *, service: str, port: int, threads: int, **_: Any) -> None:
    """Call the downstream through the breaker for ever, from several threads."""
    from apps.breakers.guard import breaker

    guard = breaker(service)
    for _number in range(threads):
        threading.Thread(target=_call_for_ever, args=(guard, port), daemon=True).start()
    while not orphaned(parent):
        time.sleep(0.2)


def _call_for_ever(guard: Any, port: int) -> None:
    from apps.breakers.guard import BreakerOpen

    while True:
        try:
            permit = guard.enter()
        except BreakerOpen:
            time.sleep(0.02)
            continue
        kind, started = _kind(permit), time.monotonic()
        try:
            answer = _ask(port, kind)
        except OSError:
            answer = "gone"
        took = time.monotonic() - started
        if answer == "ok":
            permit.success(took)
        else:
            permit.failure(took, error_class=answer)
        time.sleep(0.05)


def _kind(permit: Any) -> str:
    """Under a lease of the cluster, a probe of its own, or an ordinary call."""
    from apps.breakers.permits import ProbePermit

    if isinstance(permit, ProbePermit):
        return "probe" if permit._lease is not None else "alone"
    return "plain"


def _ask(port: int, kind: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=2) as there:
        there.sendall(f"{kind} {os.getpid()}\n".encode())
        return there.recv(16).decode().strip()


def race(parent: int, *, service: str, permits: int, **_: Any) -> None:
    """Ask for leases as fast as it goes."""
    from apps.breakers.machine import Rule
    from apps.breakers.models import SharedBreaker
    from apps.breakers.runtime import this_process
    from apps.breakers.store import STORAGE_ERRORS

    store, breaker_id = this_process(), SharedBreaker.objects.get(name=service).pk
    while not orphaned(parent):
        try:
            lease = store.lease(breaker_id, Rule(permits=permits, lease=60))
        except STORAGE_ERRORS:
            continue
        if lease is not None:
            say(epoch=lease.epoch, slot=lease.slot)
        time.sleep(0.003)


def cross(parent: int, *, service: str, at: float, failures: int, **_: Any) -> None:
    """See the threshold crossed at a given moment."""
    from apps.breakers.guard import breaker

    guard = breaker(service)
    with guard:
        say(ready=True)
    permit = guard.enter()
    time.sleep(max(0.0, at - time.monotonic()))
    for _number in range(failures):
        permit.failure(0.01, error_class="http_503")
    while not orphaned(parent):
        time.sleep(0.05)


def watch(parent: int, *, service: str, **_: Any) -> None:
    """Say each state that is seen, when it is seen."""
    from apps.breakers.guard import BreakerOpen, breaker

    guard = breaker(service)
    try:
        guard.enter().ignore()
    except BreakerOpen as error:
        say(refused=error.state)
    seen = ""
    while not orphaned(parent):
        state = guard.state()
        if state != seen:
            seen = state
            say(state=state)
        time.sleep(0.004)


def probe(parent: int, *, service: str, **_: Any) -> None:
    """Ask until a probe is granted, say so, and never settle it."""
    from apps.breakers.guard import BreakerOpen, breaker
    from apps.breakers.permits import ProbePermit

    guard = breaker(service)
    while not orphaned(parent):
        try:
            permit = guard.enter()
        except BreakerOpen:
            time.sleep(0.005)
            continue
        say(got="probe" if isinstance(permit, ProbePermit) else "plain")
        while not orphaned(parent):
            time.sleep(0.05)


MODES = {mode.__name__: mode for mode in (call, race, cross, watch, probe)}


# --- the nursery ------------------------------------------------------------------------------
def spawn(mode: str, options: dict[str, Any]) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        MODES[mode](parent, **options)
    finally:
        os._exit(0)


def main() -> None:
    django.setup()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    children: list[int] = []
    say(nursery=True)
    try:
        for line in sys.stdin:
            command = json.loads(line)
            if "preload" in command:
                from apps.breakers.guard import breaker

                with breaker(command["preload"]):
                    say(preloaded=True)
                continue
            for _ in range(command.get("number", 1)):
                children.append(spawn(command["spawn"], command))
                say(spawned=children[-1])
    finally:
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        os._exit(0)


if __name__ == "__main__":
    main()
