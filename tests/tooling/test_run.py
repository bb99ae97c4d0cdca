"""What `make run` does before and around the processes: keys, ports, one run per data directory, stopping."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from opsportal import broker, envfiles
from scripts import keys, ports, processes, run

ROOT = Path(run.__file__).resolve().parent.parent


# --- keys -----------------------------------------------------------------------------------------


def test_keys_are_made_once_and_only_their_owner_may_read_them(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secrets.env"
    wanted = {"SECRET_KEY": keys.make_secret_key, "ENCRYPTION_KEYS": keys.make_fernet_key}
    assert keys.ensure(path, wanted, {}) == ["SECRET_KEY", "ENCRYPTION_KEYS"]
    first = envfiles.read(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first["SECRET_KEY"]) >= 50
    Fernet(first["ENCRYPTION_KEYS"])
    assert keys.ensure(path, wanted, {}) == []
    assert envfiles.read(path) == first


def test_a_key_given_otherwise_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    wanted = {"A": keys.make_secret_key, "B": keys.make_secret_key, "C": keys.make_secret_key}
    assert keys.ensure(path, wanted, {"A": "given", "B_FILE": "/run/b"}) == ["C"]


def test_a_new_key_joins_the_old_ones(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    keys.write(path, {"A": "kept"})
    keys.ensure(path, {"B": lambda: "made"}, {})
    assert envfiles.read(path) == {"A": "kept", "B": "made"}


def test_secret_refs_of_a_services_file(tmp_path: Path) -> None:
    path = tmp_path / "services.yaml"
    path.write_text(
        "services:\n  a:\n    settings: {url: x, secret_ref: MIDTRANS_KEY}\n"
        "  b:\n    settings:\n      secret_ref: 'SMTP_PASSWORD'\n      # secret_ref: OLD\n"
        "  c:\n    settings: {secret_ref: MIDTRANS_KEY}\n"
    )
    assert keys.secret_refs(path) == ["MIDTRANS_KEY", "SMTP_PASSWORD"]
    assert keys.secret_refs(tmp_path / "none.yaml") == []


# --- ports ----------------------------------------------------------------------------------------


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        yield server.getsockname()[1]


def test_a_taken_port_is_named_with_its_variable_and_a_way_out(taken: int) -> None:
    with pytest.raises(ports.PortTaken) as raised:
        ports.check_port("127.0.0.1", taken, "PORT", "the web process")
    text = str(raised.value)
    assert f"Port {taken} on 127.0.0.1 is taken, and the web process needs it" in text
    assert "make run PORT=" in text


def test_a_free_port_is_free(taken: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        free = other.getsockname()[1]
    ports.check_port("127.0.0.1", free, "PORT", "the web process")


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(ports.PortTaken, match=r"cannot listen on 192\.0\.2\.1:8000"):
        ports.check_port("192.0.2.1", 8000, "PORT", "the web process")


# --- one run --------------------------------------------------------------------------------------


def test_a_second_run_on_the_same_data_is_refused(tmp_path: Path) -> None:
    again = pytest.raises(run.CannotRun, match=f"running already .process {os.getpid()}")
    with run.only_one(tmp_path), again, run.only_one(tmp_path):
        pytest.fail("two runs at once")
    with run.only_one(tmp_path):
        pass


def test_old_metrics_go_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "counter_1.db").touch()
    (tmp_path / "notes.txt").touch()
    run.clear_metrics(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_banner_shows_the_password_only_when_it_was_made() -> None:
    first = "\n".join(run.banner({"operator": "a@b", "password": "pw"}, "0.0.0.0", 8000, 8090))
    assert "http://127.0.0.1:8000/" in first
    assert "pw   (shown this once)" in first
    assert "http://127.0.0.1:8090/" in first
    again = "\n".join(run.banner({}, "127.0.0.1", 8000, 0))
    assert "password" not in again
    assert "sandbox" not in again


def test_the_procfile_names_the_processes_of_the_portal() -> None:
    assert list(processes.read_procfile(ROOT / "Procfile")) == [
        "broker",
        "web",
        "delivery",
        "control",
        "beat",
        "sandbox",
    ]


# --- the broker -----------------------------------------------------------------------------------


def test_the_broker_listens_on_its_socket_alone(tmp_path: Path) -> None:
    command = broker.command(Path("/bin/valkey-server"), tmp_path / "v.sock", tmp_path)
    assert command[0] == "/bin/valkey-server"
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--port"] == "0"
    assert options["--unixsocket"] == str(tmp_path / "v.sock")
    assert options["--save"] == ""
    assert options["--unixsocketperm"] == "700"


def test_a_short_socket_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "opsportal-0-abc"
    broker.private_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    broker.private_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(PermissionError, match="belongs to another user"):
        broker.private_folder(tmp_path)


# --- stopping -------------------------------------------------------------------------------------

WORKER = """
import os, signal, sys, time
def end(*_):
    time.sleep(60 if "stubborn" in sys.argv else 0.4)
    os.write(1, f"{sys.argv[1]} ended\\n".encode())
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print(sys.argv[1], "up", flush=True)
time.sleep(60)
"""
SUPERVISOR = """
import shlex, sys
from scripts import processes
worker = shlex.join([sys.executable, "-c", sys.argv[1]])
commands = {name: f"exec {worker} {name} {sys.argv[2]}" for name in ("broker", "web")}
if "failing" in sys.argv:
    commands["beat"] = "sleep 1; exit 3"
ended = processes.run(commands, {"PATH": "/usr/bin:/bin"}, lambda manager: print("all started", flush=True))
print("ended:", repr(ended))
"""


def supervise(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, WORKER, *(arguments or ["plain"])],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(process: subprocess.Popen[str], *words: str) -> str:
    assert process.stdout is not None
    seen = ""
    while not all(word in seen for word in words):
        line = process.stdout.readline()
        assert line, f"ended before it said {words}: {seen}"
        seen += line
    return seen


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_and_the_broker_last(signum: signal.Signals) -> None:
    process = supervise()
    read_until(process, "broker up", "web up")
    process.send_signal(signum)
    said, _ = process.communicate(timeout=20)
    assert "web ended" in said, said
    assert said.index("web ended") < said.index("broker ended")
    assert "ended: ''" in said
    assert process.returncode == 0


def test_ctrl_c_again_stops_at_once() -> None:
    process = supervise("stubborn")
    read_until(process, "broker up", "web up")
    process.send_signal(signal.SIGINT)
    read_until(process, "SIGINT received")
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.communicate(timeout=20)
    assert time.monotonic() - began < 5


def test_one_that_ends_takes_the_others_along_and_is_named() -> None:
    process = supervise("failing")
    said, _ = process.communicate(timeout=20)
    assert "web ended" in said
    assert "broker ended" in said
    assert "ended: 'beat'" in said


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_nothing_outlives_a_supervisor_that_was_killed() -> None:
    process = supervise()
    seen = read_until(process, "broker up", "web up", "all started")
    pids = [int(line.split("pid=")[1].rstrip(")\n")) for line in seen.splitlines() if "(pid=" in line]
    assert len(pids) == 2
    process.kill()
    process.wait(timeout=5)
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a process is left over"
        time.sleep(0.05)
    if process.stdout:
        process.stdout.close()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
