"""Makes .venv and installs the locked requirements, with nothing but the standard library.

Run by whatever ``python3`` the machine has, so this file keeps to syntax that Python 3.6 can parse: a
person with an old Python must read our message, not a SyntaxError. For the same reason it has no
``from __future__ import annotations``.

    python3 scripts/bootstrap.py          what `make run` needs
    python3 scripts/bootstrap.py --dev    what `make test` and `make lint` need as well
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

LEAST = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")
ROOT = Path(__file__).resolve().parent.parent
VENV = (ROOT / ".venv").resolve()
RUNTIME_LOCK = "requirements.txt"
DEV_LOCK = "requirements-dev.txt"


class BootstrapFailed(Exception):
    """What is missing on this machine and what to do about it, for a person."""


def say(text: str) -> None:
    print("==> " + text, flush=True)


# --- the right Python ---------------------------------------------------------------------------


def check_version(version: tuple, executable: str, which=shutil.which) -> str:
    """The path of a newer Python to start over with, or "" when ``version`` will do.

    Raises BootstrapFailed, naming what was found, when this machine has none that will do.
    """
    if tuple(version[:2]) >= LEAST:
        return ""
    for name in NEWER:
        path = which(name)
        if path and works(path):
            return path
    raise BootstrapFailed(
        "opsportal needs Python {}.{} or newer. {} is Python {}, and none of {} is on the PATH.\n"
        "Install a newer one, then run the same command again:\n"
        "  Debian 12+, Ubuntu 24.04+   apt-get install python3 python3-venv\n"
        "  Ubuntu 22.04                apt-get install python3.11 python3.11-venv\n"
        "  RHEL, Fedora                dnf install python3.12\n"
        "  macOS                       brew install python@3.13\n"
        "Is it somewhere else? make run PYTHON=/path/to/python3".format(
            LEAST[0], LEAST[1], executable, ".".join(str(part) for part in version[:3]), ", ".join(NEWER)
        )
    )


def works(python: str) -> bool:
    """Does this really start? A shim on the PATH may stand for a version that is not installed."""
    done = subprocess.run(
        [python, "-c", "import venv, ensurepip"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return done.returncode == 0


def check_venv_module(missing: list, version: tuple) -> None:
    """Raises BootstrapFailed when the modules that make environments are not there (Debian splits them off)."""
    if not missing:
        return
    package = "python{}.{}-venv".format(*version[:2])
    raise BootstrapFailed(
        "This Python has no {}, so it cannot make a virtual environment.\n"
        "On Debian and Ubuntu it is a package of its own; install it, then run the same command again:\n"
        "  apt-get install {}        (or python3-venv)".format(" and no ".join(missing), package)
    )


def missing_modules() -> list:
    found = []
    for name in ("venv", "ensurepip"):
        try:
            __import__(name)
        except ImportError:
            found.append(name)
    return found


# --- the environment ----------------------------------------------------------------------------


def wanted(dev: bool, root: Path = ROOT) -> dict:
    """Lock file -> its hash, for everything that must be installed."""
    names = (RUNTIME_LOCK, DEV_LOCK) if dev else (RUNTIME_LOCK,)
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}


def stamp_path(venv: Path) -> Path:
    return venv / "opsportal-installed.json"


def read_stamp(venv: Path) -> dict:
    """What was installed, or {} when nothing was, or the folder has been moved since (its scripts name the old one)."""
    try:
        stamp = json.loads(stamp_path(venv).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(stamp, dict) or stamp.get("venv") != str(venv):
        return {}
    return dict(stamp.get("locks", {}))


def write_stamp(venv: Path, locks: dict) -> None:
    stamp_path(venv).write_text(json.dumps({"venv": str(venv), "locks": locks}, indent=2) + "\n")


def venv_python(venv: Path) -> Path:
    return venv / "bin" / "python"


def is_usable(venv: Path) -> bool:
    """Does the environment start, with a Python that is new enough, from where it was made?"""
    python = venv_python(venv)
    if not python.exists():
        return False
    code = "import sys, pip; sys.exit(sys.version_info[:2] < {!r} or sys.prefix != {!r})".format(LEAST, str(venv))
    return run_quietly([str(python), "-c", code]) or (
        run_quietly([str(python), "-c", code.replace(", pip", "")])
        and run_quietly([str(python), "-m", "ensurepip", "--upgrade"])
    )


def run_quietly(command: list) -> bool:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def make_venv(venv: Path) -> None:
    if is_usable(venv):
        return
    again = "again, because the one there does not start" if venv.exists() else "with Python " + sys.version.split()[0]
    say("Making the environment {} {}".format(venv, again))
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise BootstrapFailed("The environment {} could not be made; the lines above say why.".format(venv))


def install(venv: Path, lock: str) -> None:
    """Installs exactly what the lock names; every file is checked against its hash."""
    path = ROOT / lock
    total = sum(1 for line in path.read_text().splitlines() if "==" in line and not line.startswith((" ", "#")))
    say(
        "Installing {} packages named by {}, each checked against its hash (about a minute the first time)".format(
            total, lock
        )
    )
    command = [str(venv_python(venv)), "-m", "pip", "install", "--require-hashes", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "-r", str(path)]
    started = time.monotonic()
    output = follow(command, total)
    if output is not None:
        raise BootstrapFailed(
            "pip could not install {}:\n\n{}\n\n"
            "Is a package index reachable from here? Behind a proxy set HTTPS_PROXY; with a mirror of your own set "
            "PIP_INDEX_URL.\nThen run the same command again; what is installed already is kept.".format(lock, output)
        )
    say("Installed in {:.0f} s".format(time.monotonic() - started))


def follow(command: list, total: int):
    """Runs pip and shows how far it is. Returns None when it went well, else its last lines."""
    env = dict(os.environ, PIP_USER="0", PYTHONUNBUFFERED="1")
    env.pop("PYTHONPATH", None)
    lines = []
    seen = 0
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        env=env,
    ) as pip:
        for line in pip.stdout or ():
            lines = [*lines[-30:], line.rstrip()]
            if line.startswith(("Collecting ", "Requirement already")):
                seen += 1
                if seen % 20 == 0:
                    print("    {} of up to {} fetched".format(seen, total), flush=True)
            if line.startswith("Installing collected"):
                print("    all fetched; unpacking", flush=True)
    return None if pip.returncode == 0 else "\n".join("    " + line for line in lines)


def prepare(dev: bool) -> None:
    """Brings .venv in step with the lock files; does nothing, quickly, when it is."""
    locks = wanted(dev)
    installed = read_stamp(VENV)
    if all(installed.get(name) == digest for name, digest in locks.items()) and venv_python(VENV).exists():
        return
    check_venv_module(missing_modules(), sys.version_info)
    make_venv(VENV)
    # The development lock holds everything of the other one in the same versions.
    install(VENV, DEV_LOCK if dev else RUNTIME_LOCK)
    write_stamp(VENV, dict(read_stamp(VENV), **locks))


def main(arguments: list) -> int:
    try:
        newer = check_version(tuple(sys.version_info[:3]), sys.executable)
        if newer:
            return subprocess.call([newer, str(Path(__file__).resolve()), *arguments])
        prepare("--dev" in arguments)
    except BootstrapFailed as error:
        sys.stderr.write("\n{}\n".format(error))
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped. Run the same command again to go on.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
