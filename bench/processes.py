"""Children of the run: started with a log file, weighed by their CPU time, stopped by their own id."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "var" / "bench"
LOGS = WORK / "logs"
PR_SET_PDEATHSIG = 1
TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """The run cannot go on; the text says what happened and where to look."""


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until(ready: Callable[[], bool], seconds: float, what: str) -> None:
    """Ask ``ready`` every 50 ms until it says yes. Raises BenchError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise BenchError(f"{what} was not ready after {seconds:g} s; see {LOGS}")
        time.sleep(0.05)


@dataclass(frozen=True)
class Stat:
    """One line of /proc/PID/stat: parent, own CPU seconds, CPU seconds of children that ended."""

    parent: int
    own: float
    reaped: float


def read_stat(text: str) -> Stat:
    """Parse /proc/PID/stat (proc(5)); the name in brackets may hold spaces and brackets itself."""
    fields = text[text.rindex(")") + 2 :].split()
    ticks = [int(value) / TICKS for value in fields[11:15]]
    return Stat(int(fields[1]), ticks[0] + ticks[1], ticks[2] + ticks[3])


def _stats() -> dict[int, Stat]:
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError, ValueError):
                found[int(entry)] = read_stat(Path("/proc", entry, "stat").read_text())
    return found


def tree(root: int, stats: Mapping[int, Stat]) -> set[int]:
    """``root`` and everything below it."""
    found = {root}
    grew = True
    while grew:
        below = {pid for pid, stat in stats.items() if stat.parent in found}
        grew = not below <= found
        found |= below
    return found


def cpu_seconds(root: int) -> float:
    """CPU time of a process, its living descendants, and the children each of them has outlived."""
    stats = _stats()
    return sum(stats[pid].own + stats[pid].reaped for pid in tree(root, stats) if pid in stats)


def _die_with_parent(number: int) -> Callable[[], None]:
    """Linux tells the child when the run is killed, so that nothing is left behind."""
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, number)

    return prepare


class Child:
    """A process of the run. Use as a context manager: leaving the block stops it and all below it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.stop_signal = stop_signal
        self.log = LOGS / f"{name}.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                list(command),
                env={**os.environ, **(env or {})},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent(stop_signal),
                user=user,
                group=user,
                extra_groups=[] if user else None,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu(self) -> float:
        return cpu_seconds(self.pid)

    def check(self) -> None:
        """Raise BenchError with the end of the log if the process has ended."""
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended with code {self.process.returncode}:\n{self.tail()}")

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, grace: float = 8.0) -> None:
        """Ask, wait ``grace`` seconds (0: do not ask), then kill what is left of the tree, by id."""
        pids = tree(self.pid, _stats())
        if grace and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)
        self._kill(pids)
        self.process.wait(10)

    def _kill(self, pids: set[int]) -> None:
        """Only ids that are still in the session this child leads: an id may have been used again."""
        for pid in pids:
            with suppress(ProcessLookupError):
                if os.getsid(pid) == self.pid:
                    os.kill(pid, signal.SIGKILL)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def run(name: str, command: Sequence[str], env: Mapping[str, str] | None = None, seconds: float = 300) -> str:
    """Run a command to its end and give its output. Raises BenchError with the end of what it said."""
    try:
        done = subprocess.run(
            list(command),
            env={**os.environ, **(env or {})},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{name} took longer than {seconds:g} s") from error
    if done.returncode:
        raise BenchError(f"{name} failed with code {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    return done.stdout
