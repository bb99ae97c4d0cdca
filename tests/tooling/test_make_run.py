"""`make run`, for real: from nothing to a log-in, and away again without a trace of a process."""

from __future__ import annotations

import re
import signal
import socket
import stat
import time
from collections.abc import Callable

import pytest

from opsportal import envfiles
from tests.tooling.conftest import Portal, free_ports, start

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

Run = Callable[..., Portal]


def test_runs_stops_and_runs_again_with_its_data(make_run: Run) -> None:
    first = make_run()
    first.wait_for("The portal is up")
    assert first.get("/health/live") == 200
    password = re.search(r"password +(\S+) +\(shown this once\)", first.said)
    assert password is not None, first.said
    secrets = first.folder / "var" / "secrets.env"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert first.said.count(password[1]) == 1
    assert len(first.survivors()) >= 5
    assert first.stop() < 20
    assert first.survivors() == []
    kept = envfiles.read(secrets)

    began = time.monotonic()
    second = make_run()
    second.wait_for("The portal is up")
    assert time.monotonic() - began < 60
    assert "Making the first log-in" not in second.said
    assert "shown this once" not in second.said
    assert envfiles.read(secrets) == kept
    assert second.stop(signal.SIGINT) < 20
    assert second.survivors() == []


def test_two_at_once_and_a_taken_port_are_refused_clearly(make_run: Run) -> None:
    first = make_run()
    first.wait_for("Starting ")
    second = start(first.folder, free_ports(1))
    assert second.process.wait(timeout=60) != 0
    assert "is running already" in second.said
    first.stop()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        third = start(first.folder, port)
        assert third.process.wait(timeout=60) != 0
    assert f"Port {port} on 127.0.0.1 is taken" in third.said
    assert f"make run PORT={port + 100}" in third.said
    assert "Traceback" not in first.said + second.said + third.said
