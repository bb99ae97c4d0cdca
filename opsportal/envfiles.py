"""Files of NAME=value lines that stand in for the environment on one machine.

``.env`` is written by a person (see .env.example). ``make run`` writes ``DATA_DIR/secrets.env`` once, and
``DATA_DIR/run.env`` for as long as it runs. The real environment always wins, so a container or a unit file needs
none of them. Because settings read them, ``manage.py`` in another shell sees what the running portal sees.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Final

SECRETS_FILE: Final = "secrets.env"
RUN_FILE: Final = "run.env"
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9_./@+-]+")  # needs no quoting in any client's URL
MAX_SOCKET_PATH: Final = 100  # sun_path holds 108 bytes on Linux and 104 on macOS, with the final NUL


class EnvFileInvalid(ValueError):
    """A line of an environment file is not NAME=value; the message names file and line."""


def parse(text: str, source: str) -> dict[str, str]:
    """``NAME=value`` per line; ``#`` begins a comment line; one pair of quotes around a value is removed."""
    values: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip().removeprefix("export ")
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not NAME.fullmatch(name.strip()):
            raise EnvFileInvalid(f"{source}, line {number}: expected NAME=value, found {raw.strip()[:40]!r}")
        values[name.strip()] = _unquote(value.strip())
    return values


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def read(path: Path) -> dict[str, str]:
    """The values of a file, or none when there is no such file."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return {}


def load(root: Path, environ: MutableMapping[str, str], *, running: bool = True) -> None:
    """Fill ``environ`` from ``.env`` (another file with ENV_FILE, none when that is empty), then from DATA_DIR.

    ``running`` includes what the portal that runs there was started with.
    """
    env_file = environ.get("ENV_FILE", str(root / ".env"))
    if env_file:
        _fill(environ, read(Path(env_file)))
    folder = data_dir(root, environ)
    _fill(environ, read(folder / SECRETS_FILE))
    if running:
        _fill(environ, read(folder / RUN_FILE))


def data_dir(root: Path, environ: Mapping[str, str]) -> Path:
    """Where the local database, sockets and logs live."""
    return Path(environ.get("DATA_DIR") or root / "var").resolve()


def _fill(environ: MutableMapping[str, str], values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if name not in environ and f"{name}_FILE" not in environ:
            environ[name] = value


def socket_path(directory: Path, name: str) -> Path:
    """``directory/name``, or a short path in a private folder under the temporary one where that will not do.

    A deep folder is too long for a socket, and one with blanks or percent signs breaks broker URLs.
    The same for every process of an installation, so that nobody has to be told.
    """
    path = directory / name
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH and PLAIN_PATH.fullmatch(str(path)):
        return path
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"opsportal-{os.getuid()}-{digest}" / name
