"""The breakers of this process and their agent. One object, :data:`RUNTIME`; safe from any thread and over a fork."""

from __future__ import annotations

import atexit
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import structlog
from django.db import connections

from apps.breakers.agent import Agent
from apps.breakers.local import LocalBreaker
from apps.breakers.records import Lease, ProbeResult, Transition
from apps.breakers.signals import breaker_changed
from apps.breakers.store import Store

log = structlog.get_logger(__name__)
GOODBYE_S: Final = 1.5


class Runtime:
    """Makes breakers on demand; starts the agent when the first one is asked for."""

    def __init__(self, make_store: Callable[[], Store] | None = None) -> None:
        self.clock = time.monotonic
        self.make_store = make_store or this_process
        self._breakers: dict[str, LocalBreaker] = {}
        self._agent: Agent | None = None
        # Agents of parents: their connections must not be closed here, so they are kept for good.
        self._inherited: list[Agent] = []
        self._lock = threading.Lock()

    # --- breakers ------------------------------------------------------------------------------
    def get(self, name: str) -> LocalBreaker:
        """The breaker called ``name``; always the same object."""
        found = self._breakers.get(name)
        if found is None:
            with self._lock:
                found = self._breakers.setdefault(name, LocalBreaker(name, self, self.clock))
        return found

    def breakers(self) -> Sequence[LocalBreaker]:
        return list(self._breakers.values())

    # --- the agent's office --------------------------------------------------------------------
    def wake(self) -> None:
        self.agent().wake()

    def ask(self, breaker: LocalBreaker) -> None:
        self.agent().ask(breaker)

    def settle(self, breaker: LocalBreaker, lease: Lease, result: ProbeResult) -> None:
        self.agent().settle(breaker, lease, result)

    def release(self, lease: Lease) -> None:
        self.agent().release(lease)

    def agent(self) -> Agent:
        """The running agent; a new one if there is none, or it has died."""
        agent = self._agent
        if agent is not None and agent.alive():
            return agent
        with self._lock:
            if self._agent is None or not self._agent.alive():
                self._agent = Agent(self.make_store, self.breakers, announce)
                try:
                    self._agent.start()
                except RuntimeError as error:
                    # No thread to be had, or the interpreter ends: calls go on, counted here only.
                    log.warning("breakers.no_agent", error=str(error))
            return self._agent

    # --- the end -------------------------------------------------------------------------------
    def stop(self, timeout: float = GOODBYE_S) -> None:
        """Flush, give leases back, close the connection; at most ``timeout`` seconds. A later call starts anew."""
        self._end(timeout, goodbye=True)

    def _end(self, timeout: float, *, goodbye: bool) -> None:
        with self._lock:
            agent, self._agent = self._agent, None
        if agent is not None:
            agent.stop(timeout, goodbye=goodbye)

    def forget(self) -> None:
        """Stop without a word to the database, and begin every breaker anew: between tests."""
        if self._agent is None and not self._breakers:
            return
        self._end(GOODBYE_S, goodbye=False)
        for breaker in self.breakers():
            breaker.restart()

    def after_fork(self) -> None:
        """In the child: the parent's thread does not exist here, its connection and leases are not ours."""
        self._lock = threading.Lock()
        if self._agent is not None:
            self._inherited.append(self._agent)
            self._agent = None
        for breaker in self._breakers.values():
            breaker.restart()


def announce(transition: Transition) -> None:
    """Send the signal from a thread of its own: a slow receiver must not hold up the agent."""
    threading.Thread(target=_send, args=(transition,), name="breakers-news", daemon=True).start()


def _send(transition: Transition) -> None:
    try:
        answers = breaker_changed.send_robust(
            sender=None,
            service=transition.service,
            kind=transition.kind.value,
            epoch=transition.epoch,
            event_id=transition.event_id,
        )
        for receiver, answer in answers:
            if isinstance(answer, Exception):
                log.error("breakers.receiver_failed", receiver=repr(receiver), exc_info=answer)
    finally:
        connections.close_all()


def this_process() -> Store:
    """A store that writes under the name of this process: unique, also when a pid is used again."""
    host = socket.gethostname()[:60]
    return Store(
        worker=f"{process_role()}@{host}/{os.getpid()}-{secrets.token_hex(2)}",
        host=host,
        pid=os.getpid(),
        queue=process_role(),
    )


def process_role() -> str:
    """What this process is, as its command line says: a Celery queue, a web server, a management command."""
    program_path = "".join(sys.argv[:1]).removesuffix("/__main__.py")  # python -m celery
    words = [os.path.basename(program_path), *sys.argv[1:]]
    program = words[0] if words and words[0] not in ("", "-", "-c", "__main__.py") else "python"
    if "celery" in program or "celery" in words[:2]:
        queues = (value for option, value in pairwise(words) if option in ("-Q", "--queues"))
        return next(queues, "beat" if "beat" in words else "celery")[:40]
    if "gunicorn" in program or "runserver" in words:
        return "web"
    return (words[1] if program == "manage.py" and len(words) > 1 else program)[:40]


RUNTIME: Final = Runtime()
os.register_at_fork(after_in_child=RUNTIME.after_fork)
atexit.register(RUNTIME.stop)
