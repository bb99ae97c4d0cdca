"""``manage.py sandbox`` from the outside, and the sandbox as a process."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.sandbox.services_file import PORTS
from apps.sandbox.threaded import ThreadedSandbox

PROVIDERS = ("midtrans", "whatsapp", "billing-webhook", "smtp", "slack", "pagerduty")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ThreadedSandbox]:
    with ThreadedSandbox() as found:
        yield found


@pytest.fixture(autouse=True)
def well_again(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "sandbox" in request.fixturenames:
        found = request.getfixturevalue("sandbox")
        for name in found.server.stations:
            found.end_outage(name)


def command(sandbox: ThreadedSandbox, *words: str) -> str:
    out = io.StringIO()
    call_command("sandbox", *words, "--port", str(sandbox.server.page.port), stdout=out)
    return out.getvalue()


def command_json(sandbox: ThreadedSandbox, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command(sandbox, *words, "--json"))
    return found


def test_status_lists_every_provider(sandbox: ThreadedSandbox) -> None:
    text = command(sandbox, "status")
    for name in PROVIDERS:
        assert name in text
    assert "Script: stopped" in text
    assert "Producer: off" in text


def test_status_as_json_has_the_figures(sandbox: ThreadedSandbox) -> None:
    found = command_json(sandbox, "status")
    assert [one["name"] for one in found["providers"]] == list(PROVIDERS)
    assert {"received", "accepted", "failed", "duplicates", "keys", "outages"} <= set(found["providers"][0])


def test_start_and_end(sandbox: ThreadedSandbox) -> None:
    found = command_json(sandbox, "start", "midtrans", "slow", "--share", "0.5", "--seconds", "60", "--delay", "2")
    outage = found["providers"][0]["outages"][0]
    assert (outage["mode"], outage["share"], outage["delay"], outage["by"]) == ("slow", 0.5, 2, "hand")
    assert "slow 50 % (1:00 left, by hand)" in command(sandbox, "status")
    assert command_json(sandbox, "end", "midtrans")["ended"] == ["slow"]


def test_script_on_and_off(sandbox: ThreadedSandbox) -> None:
    assert "Script: next in 0:08: midtrans errors" in command(sandbox, "script", "on")
    assert "Script: stopped" in command(sandbox, "script", "off")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("start", "nobody", "errors"), "There is no provider 'nobody'"),
        (("start", "midtrans", "explode"), "is not one of errors, slow"),
        (("start", "midtrans", "errors", "--share", "3"), "share: must be more than 0"),
        (("end", "midtrans", "explode"), "is not one of errors"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(sandbox: ThreadedSandbox, words: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        command(sandbox, *words)


def test_without_a_sandbox_it_says_how_to_start_one() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(CommandError, match="Start it with `make run`"):
            call_command("sandbox", "status", "--port", str(unused.getsockname()[1]))


def test_services_prints_a_file_for_the_ports() -> None:
    out = io.StringIO()
    call_command("sandbox", "services", "--port", "18090", stdout=out)
    assert "http://127.0.0.1:18091/v2/charge" in out.getvalue()


def test_a_threaded_sandbox_serves_code_that_is_not_asynchronous(sandbox: ThreadedSandbox) -> None:
    sandbox.set_mix("midtrans", errors=1)
    charge = {"payment_type": "gopay", "transaction_details": {"order_id": "A", "gross_amount": 1}}
    answer = requests.post(sandbox.url("midtrans"), json=charge, headers={"Idempotency-Key": "sync"}, timeout=5)
    assert answer.status_code in (500, 503)
    assert sandbox.received("midtrans").keys == {"sync"}
    sandbox.set_mix("midtrans")
    assert requests.post(sandbox.url("midtrans"), json=charge, timeout=5).status_code == 200
    sandbox.start_outage("midtrans", "refuse")
    with pytest.raises(requests.ConnectionError):
        requests.post(sandbox.url("midtrans"), json=charge, timeout=5)


def free_base() -> int:
    """A port with free ones behind it for all that the sandbox listens on."""
    for base in range(21_000, 60_000, PORTS):
        try:
            for port in range(base, base + PORTS):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise AssertionError("no free ports in a row")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_serves_and_stops_within_two_seconds(tmp_path: Path, number: int) -> None:
    base = free_base()
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "SANDBOX_PORT": str(base), "LOG_FORMAT": "json"}
    words = [sys.executable, "manage.py", "sandbox", "run", "--portal", "http://127.0.0.1:9", "--rate", "50"]
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_page(process, base)
        url = f"http://127.0.0.1:{base + 1}/v2/charge"
        charge = {"payment_type": "gopay", "transaction_details": {"order_id": "A", "gross_amount": 1}}
        assert requests.post(url, json=charge, timeout=5).status_code == 200
        began = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
        assert time.monotonic() - began < 5
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    events = [json.loads(line)["event"] for line in errors.splitlines()]
    assert events[0] == "sandbox.started"
    assert events[-1] == "sandbox.stopped"
    assert "producer.stopped" in events


def wait_for_page(process: subprocess.Popen[str], port: int) -> None:
    for _ in range(200):
        try:
            if requests.get(f"http://127.0.0.1:{port}/api/status", timeout=1).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
        assert process.poll() is None, "the sandbox ended by itself"
    raise AssertionError("the sandbox did not come up")
