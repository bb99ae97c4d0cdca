"""The processes of the Procfile under honcho, with the three things a laptop needs on top of it.

The broker stops last, because a worker that says good-bye needs it. Nothing outlives the parent, even one
that was killed. And what to tell the person is said when the web process answers, below the noise of the start.
"""

from __future__ import annotations

import ctypes
import http.client
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

import honcho.manager
from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Message, Printer
from honcho.process import Popen, Process

BROKER: Final = "broker"
KILL_AFTER_S: Final = 12
READY_WITHIN_S: Final = 60.0
PR_SET_PDEATHSIG: Final = 1
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def read_procfile(path: Path) -> dict[str, str]:
    """Process name -> command, in the order of the file."""
    return dict(parse_procfile(path.read_text(encoding="utf-8")).processes)


def die_with_parent(signum: int) -> None:
    """Ask the kernel to send ``signum`` to this process when its parent ends. Linux only; elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)


class TiedPopen(Popen):  # type: ignore[misc]  # honcho has no types
    """A command that is asked to stop when whoever relays its output is gone."""

    def __init__(self, command: str, **options: Any) -> None:
        super().__init__(command, preexec_fn=lambda: die_with_parent(signal.SIGTERM), **options)


class TiedProcess(Process):  # type: ignore[misc]
    """Relays a command's output; ends with honcho, however that ends."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._child_ctor = TiedPopen

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        die_with_parent(signal.SIGKILL)
        super().run(events, ignore_signals)


class LocalManager(Manager):  # type: ignore[misc]
    """honcho's manager: when one process ends all do, the broker after the others."""

    def __init__(self, on_started: Callable[[], None]) -> None:
        super().__init__(Printer(sys.stdout))
        honcho.manager.KILL_WAIT = KILL_AFTER_S
        self._process_ctor = TiedProcess
        self._on_started: Callable[[], None] | None = on_started
        self._told: set[str] = set()
        self.first_down = ""
        self.asked = 0
        self._impatient = False
        self._kill_at = math.inf

    def _start(self) -> None:
        # honcho has just set handlers that print, which fails when the signal comes amid another print.
        for signum in STOP_SIGNALS:
            signal.signal(signum, self._remember)
        super()._start()

    def _remember(self, signum: int, _: FrameType | None) -> None:
        self._impatient = self.asked == signum == signal.SIGINT
        self.asked = self.asked or signum

    def _all_started(self) -> bool:
        # honcho asks this on every turn of its loop, so this is where a signal is acted upon.
        if self.asked and not self._terminating:
            self._printer.write(_line(f"{signal.Signals(self.asked).name} received, stopping (Ctrl-C again: at once)"))
            self.returncode = 128 + self.asked
            self._kill_at = time.monotonic() + KILL_AFTER_S
            self.terminate()
        if self._impatient or time.monotonic() > self._kill_at:
            self._impatient, self._kill_at = False, math.inf
            self.kill()
        return bool(super()._all_started())

    def say_all(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._printer.write(_line(line))

    def _system_print(self, data: str) -> None:
        # honcho calls this after each start and each stop, with its own books up to date.
        super()._system_print(data)
        if not self.first_down:
            self.first_down = next((n for n, p in self._processes.items() if p.get("returncode") is not None), "")
        if self._terminating:
            self._killall()
        elif self._on_started is not None and self._all_started():
            started, self._on_started = self._on_started, None
            started()

    def _killall(self, force: bool = False) -> None:
        """Stop what still runs, each once; one that is only starting gets its turn when it has started."""
        running = {n: p["pid"] for n, p in self._processes.items() if p.get("pid") and "returncode" not in p}
        if not force and set(running) != {BROKER} and self._others_expected():
            running.pop(BROKER, None)
        for name, pid in running.items():
            if force:
                self._procmgr.kill(pid)
            elif name not in self._told:
                self._told.add(name)
                self._procmgr.terminate(pid)

    def _others_expected(self) -> bool:
        return any("returncode" not in p for name, p in self._processes.items() if name != BROKER)


def run(commands: Mapping[str, str], env: Mapping[str, str], on_started: Callable[[LocalManager], None]) -> str:
    """Run the commands until one ends or a signal comes. Returns which one ended by itself, "" after a signal."""
    manager = LocalManager(lambda: on_started(manager))
    for name, command in commands.items():
        manager.add_process(name, command, env=dict(env))
    manager.loop()
    return "" if manager.asked else str(manager.first_down)


def _line(text: str) -> Message:
    return Message("line", text + "\n", datetime.now(), "system", None)


def when_live(host: str, port: int, then: Callable[[], None]) -> None:
    """Call ``then`` in a thread once GET /health/live answers 200; give up quietly after a minute."""

    def wait() -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if answers(host, port):
                then()
                return
            time.sleep(0.2)

    threading.Thread(target=wait, name="when-live", daemon=True).start()


def answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
