"""Who holds a port: a best guess for an error message."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
LISTENING: Final = "0A"


def describe_holder(port: int, proc: Path = PROC) -> str:
    """In words who listens on ``port``, as far as this machine lets us see."""
    found = holder(port, proc)
    if found is None:
        return f"another process holds it (`lsof -i :{port}` as root shows which)"
    pid, command = found
    who = "another sandbox" if " sandbox run" in command else repr(command)
    return f"{who} holds it, process {pid}"


def holder(port: int, proc: Path = PROC) -> tuple[int, str] | None:
    """Process id and command line of who listens on ``port`` (Linux); None when that cannot be seen."""
    sockets = {f"socket:[{inode}]" for name in ("tcp", "tcp6") for inode in _inodes(proc / "net" / name, port)}
    if not sockets:
        return None
    for entry in proc.glob("[0-9]*"):
        if _has(entry / "fd", sockets):
            return int(entry.name), _command(entry)
    return None


def _inodes(table: Path, port: int) -> list[str]:
    try:
        rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return []
    ending = f":{port:04X}"
    return [row[9] for row in rows if len(row) > 9 and row[1].endswith(ending) and row[3] == LISTENING]


def _has(folder: Path, sockets: set[str]) -> bool:
    """Other people's processes, and those that end while we look, show nothing."""
    try:
        return any(os.readlink(link) in sockets for link in folder.iterdir())
    except OSError:
        return False


def _command(entry: Path) -> str:
    try:
        words = (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "a process"
    return b" ".join(words).decode(errors="replace").strip()[:80] or "a process"
