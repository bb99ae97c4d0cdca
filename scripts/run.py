"""``make run``: the whole portal on this machine, in the foreground, until Ctrl-C."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from apps.sandbox import services_file
from opsportal import envfiles
from scripts import keys, ports, processes

ROOT = Path(__file__).resolve().parent.parent
PYTHON_FOLDER = Path(sys.executable).parent
RUN_HEADER: Final = "# What the portal that runs here was started with. Made and removed by `make run`.\n"
# A command in another shell must not count as a process of the portal.
NOT_SHARED: Final = frozenset({"PROMETHEUS_MULTIPROC_DIR"})


class CannotRun(Exception):
    """What stands in the way, for a person."""


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


def main() -> int:
    os.chdir(ROOT)
    try:
        environment = read_environment()
        data_dir = Path(environment["DATA_DIR"])
        with only_one(data_dir):
            return start(environment)
    except (CannotRun, ports.PortTaken, envfiles.EnvFileInvalid) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped before anything was started.", file=sys.stderr)
        return 130


# --- before anything starts -----------------------------------------------------------------------


def read_environment() -> dict[str, str]:
    """The environment of every process: ours, .env, the secrets, and what a laptop wants otherwise than a server."""
    envfiles.load(ROOT, os.environ, running=False)
    data_dir = envfiles.data_dir(ROOT, os.environ)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # the local database holds what messages say
    sandbox = os.environ.get("SANDBOX", "1").strip().lower() not in ("", "0", "false", "no", "off")
    wanted = {"SECRET_KEY": keys.make_secret_key, "ENCRYPTION_KEYS": keys.make_fernet_key}
    if sandbox:
        aim_at_sandbox(data_dir)
        if services := os.environ.get("SERVICES_FILE"):
            wanted |= dict.fromkeys(keys.secret_refs(Path(services)), keys.make_signing_secret)
    made = keys.ensure(data_dir / envfiles.SECRETS_FILE, wanted, os.environ)
    if made:
        say(f"Made {', '.join(made)} in {data_dir / envfiles.SECRETS_FILE}")
    envfiles.load(ROOT, os.environ, running=False)
    defaults = {
        "DELIVERY_GRACE_S": "4",
        "WEB_GRACE_S": "4",
        "LOG_FORMAT": "console",
        # Somebody who tries the portal as root need not read it twice; a container does not run as root.
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
    }
    fixed = {
        "DATA_DIR": str(data_dir),
        "SANDBOX": "1" if sandbox else "0",
        "PATH": f"{PYTHON_FOLDER}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PROMETHEUS_MULTIPROC_DIR": os.environ.get("PROMETHEUS_MULTIPROC_DIR") or str(data_dir / "metrics"),
        "PYTHONUNBUFFERED": "1",
    }
    os.environ.update({**defaults, **os.environ, **fixed})
    return dict(os.environ)


def aim_at_sandbox(data_dir: Path) -> None:
    """Services that point at the sandbox, unless the person chose a file. It listens on loopback: allowed, then."""
    port = os.environ.get("SANDBOX_PORT") or str(services_file.DEFAULT_BASE)
    if not os.environ.get("SERVICES_FILE") and port.isdigit():
        os.environ["SERVICES_FILE"] = str(services_file.prepared(int(port), data_dir))
    os.environ.setdefault("DELIVERY_PRIVATE_NETWORKS", "allow")


@contextmanager
def told_to_other_shells(data_dir: Path, environment: Mapping[str, str], names: Iterable[str]) -> Iterator[None]:
    """Keep DATA_DIR/run.env for the time of the run, so that `manage.py` elsewhere agrees with the portal."""
    path = data_dir / envfiles.RUN_FILE
    wanted = [twin for name in names if name not in NOT_SHARED for twin in (name, f"{name}_FILE")]
    keys.write(path, {name: environment[name] for name in wanted if environment.get(name)}, RUN_HEADER)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Hold this DATA_DIR for the time of the run. Raises CannotRun when another run has it."""
    with (data_dir / "run.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise CannotRun(
                f"The portal of {data_dir} is running already (process {lock.read().strip() or 'unknown'}).\n"
                "Stop it with Ctrl-C there, or run a second one: make run DATA_DIR=/another/folder PORT=8100"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def check_ports() -> None:
    from opsportal import settings

    ports.check_port(settings.HOST, settings.PORT, "PORT", "the web process")
    if settings.SANDBOX:
        taken = range(settings.SANDBOX_PORT, settings.SANDBOX_PORT + services_file.PORTS)
        if settings.PORT in taken:
            raise CannotRun(
                f"PORT={settings.PORT} is one of the sandbox's ports, {taken[0]} to {taken[-1]}; change one."
            )
        for port in taken:
            ports.check_port("127.0.0.1", port, "SANDBOX_PORT", "the sandbox", first=settings.SANDBOX_PORT)


def clear_metrics(folder: Path) -> None:
    """Metrics of processes that are gone would be added to those of the new ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.db"):
        path.unlink()


# --- start ----------------------------------------------------------------------------------------


def start(environment: dict[str, str]) -> int:
    from opsportal import settings  # ends with a list of what is wrong when the environment is

    check_ports()
    clear_metrics(Path(environment["PROMETHEUS_MULTIPROC_DIR"]))
    names = [variable.name for variable in settings.env.variables]
    with told_to_other_shells(settings.DATA_DIR, environment, names):
        return supervise(environment)


def supervise(environment: dict[str, str]) -> int:
    """Bring the database in step, start the processes and stay until they have ended."""
    from opsportal import settings

    made = prepare(environment, settings.SANDBOX)
    commands = processes.read_procfile(ROOT / "Procfile")
    if not settings.SANDBOX:
        del commands["sandbox"]
    if str(settings.VALKEY_SOCKET) not in settings.BROKER_URL + settings.CACHE_URL:
        del commands["broker"]
    say(f"Starting {', '.join(commands)}; Ctrl-C stops them all")
    told = banner(made, settings.HOST, settings.PORT, settings.SANDBOX_PORT if settings.SANDBOX else 0)

    def when_started(manager: processes.LocalManager) -> None:
        reach = "127.0.0.1" if settings.HOST in ("0.0.0.0", "::") else settings.HOST  # noqa: S104
        processes.when_live(reach, settings.PORT, lambda: manager.say_all(told))

    ended = processes.run(commands, environment, when_started)
    if settings.VALKEY_SOCKET.parent != settings.DATA_DIR:
        shutil.rmtree(settings.VALKEY_SOCKET.parent, ignore_errors=True)
    if ended:
        raise CannotRun(f"{ended} ended by itself, so the others were stopped. {where_to_look(ended)}")
    say("Stopped; the data is kept")
    return 0


def where_to_look(name: str) -> str:
    from opsportal import settings

    return (
        f"See {settings.DATA_DIR / 'broker.log'}." if name == processes.BROKER else f"See its lines above ({name} |)."
    )


def prepare(environment: dict[str, str], sandbox: bool) -> dict[str, str]:
    """Migrate, load services, make the first log-in. Returns what was made and is shown only now."""
    command = [sys.executable, "manage.py", "prepare", "--first-run", "--json"]
    if sandbox and not environment.get("SANDBOX_API_KEY"):
        command.append("--sandbox-key")
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise CannotRun("The database could not be brought in step; the lines above say why. Nothing was started.")
    made: dict[str, str] = json.loads(done.stdout)
    if key := made.pop("sandbox_key", ""):
        path = Path(environment["DATA_DIR"]) / envfiles.SECRETS_FILE
        keys.write(path, {**envfiles.read(path), "SANDBOX_API_KEY": key})
        environment["SANDBOX_API_KEY"] = key
    return made


def banner(made: dict[str, str], host: str, port: int, sandbox_port: int) -> list[str]:
    """What a person needs to begin, printed once the web process answers."""
    reach = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
    shown = f"[{reach}]" if ":" in reach else reach
    lines = ["", f"The portal is up: http://{shown}:{port}/"]
    if made:
        lines += [f"  log in as   {made['operator']}", f"  password    {made['password']}   (shown this once)"]
    else:
        lines.append("  forgot the log-in? .venv/bin/python manage.py operator --help")
    if sandbox_port:
        lines.append(f"  sandbox     http://127.0.0.1:{sandbox_port}/   start and end outages, see what arrived")
    return [*lines, "  stop        Ctrl-C", ""]


if __name__ == "__main__":
    sys.exit(main())
