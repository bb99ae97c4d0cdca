from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path

import pytest

from apps.sandbox.listeners import PortTaken, bound_socket
from apps.sandbox.ports import describe_holder, holder
from tests.sandbox.helpers import quiet_sandbox


def test_a_taken_port_is_named_with_the_variable_that_moves_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            bound_socket(port, "midtrans")
    assert f"Port {port} on 127.0.0.1" in caught.value.message
    assert "midtrans" in caught.value.message
    assert "SANDBOX_PORT" in caught.value.message


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_who_holds_a_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = holder(server.getsockname()[1])
    assert found is not None
    assert found[0] == os.getpid()


def test_who_holds_it_may_stay_hidden(tmp_path: Path) -> None:
    assert "another process holds it" in describe_holder(8090, tmp_path)


def test_another_sandbox_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    row = "   0: 0100007F:1F9A 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 777 1"
    (tmp_path / "net" / "tcp").write_text(f"header\n{row}\n")
    (tmp_path / "42" / "fd").mkdir(parents=True)
    (tmp_path / "42" / "fd" / "3").symlink_to("socket:[777]")
    (tmp_path / "42" / "cmdline").write_bytes(b"python\0manage.py\0sandbox\0run\0")
    assert describe_holder(0x1F9A, tmp_path) == "another sandbox holds it, process 42"


async def test_a_sandbox_that_cannot_begin_leaves_no_port_open() -> None:
    async with quiet_sandbox() as first:
        second = quiet_sandbox()
        second.stations["smtp"].listener.port = first.port("smtp")
        with pytest.raises(PortTaken, match="mail server"):
            await second.start()
        assert not second.page.is_open
        assert not any(station.listener.is_open for station in second.stations.values())


async def test_a_port_lost_during_an_outage_is_taken_back_when_it_is_free() -> None:
    async with quiet_sandbox() as sandbox:
        port = sandbox.port("midtrans")
        await sandbox.start_outage("midtrans", "refuse")
        with socket.create_server(("127.0.0.1", port)):
            await sandbox.end_outage("midtrans")
            assert not sandbox.station("midtrans").listener.is_open
        await sandbox.step()
        assert sandbox.station("midtrans").listener.is_open


def test_other_errors_say_what_the_system_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(PortTaken, match="Cannot assign requested address"):
        bound_socket(8090, "page")
