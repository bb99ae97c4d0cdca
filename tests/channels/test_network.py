from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from apps.channels import network
from apps.channels.kinds.http.channel import HttpChannel
from apps.channels.kinds.http.settings import HttpSettings
from apps.channels.network import AddressRefused, Names, connected_socket, system_lookup
from tests.channels.support import ALLOW, DENY, envelope, failure_of, free_port


def lookup_of(*answers):
    """A name server that gives these answers one after another, the last for ever."""
    calls = []

    async def lookup(host, port):
        calls.append(host)
        answer = answers[min(len(calls), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    lookup.calls = calls
    return lookup


def http(lookup, *, policy=DENY, url="http://partner.example:8080/", timeout=2.0):
    return HttpChannel(HttpSettings(url=url), [], timeout=timeout, max_in_flight=4, network=policy, lookup=lookup)


async def test_mixed_a_records_drop_the_refused_addresses():
    names = Names(DENY, lookup_of(["10.0.0.1", "8.8.8.8", "169.254.169.254", "2606:4700::1"]))
    assert await names.addresses("partner.example", 80) == ["8.8.8.8", "2606:4700::1"]


async def test_name_with_only_refused_addresses_is_refused_and_says_which():
    names = Names(ALLOW, lookup_of(["169.254.169.254", "fe80::1%eth0"]))
    with pytest.raises(
        AddressRefused, match=r"partner\.example leads to 169\.254\.169\.254 is a cloud metadata address"
    ):
        await names.addresses("partner.example", 80)


async def test_dns_rebinding_gains_nothing_the_checked_address_is_the_connected_one(server):
    """The name is harmless when it is checked and private when it is asked again."""
    lookup = lookup_of(["127.0.0.1"], ["169.254.169.254"])
    made = http(lookup, policy=ALLOW, url=f"http://partner.example:{server.port}/")
    await made.send(envelope())
    assert server.last.headers["host"] == f"partner.example:{server.port}"
    assert lookup.calls == ["partner.example"]
    await made.close()
    error = await failure_of(made.send(envelope()))
    await made.close()
    assert error.error_class == "address_refused"
    assert "169.254.169.254" in str(error)
    assert "settings.url" in str(error)


@pytest.mark.parametrize("url", ["http://[::1]:9/", "http://127.0.0.1:9/", "http://[::ffff:127.0.0.1]:9/"])
async def test_literal_addresses_in_the_url_are_checked_although_never_looked_up(url):
    made = http(lookup_of([]), url=url)
    error = await failure_of(made.send(envelope()))
    await made.close()
    assert (error.error_class, error.permanent) == ("address_refused", True)


async def test_dns_failure_is_retryable_and_names_the_host():
    made = http(lookup_of(socket.gaierror(-2, "Name or service not known")))
    error = await failure_of(made.send(envelope()))
    await made.close()
    assert (error.error_class, error.permanent, error.ambiguous) == ("dns", False, False)
    assert "partner.example" in str(error)


async def test_name_without_any_address_is_a_dns_failure():
    made = http(lookup_of([]))
    assert (await failure_of(made.send(envelope()))).error_class == "dns"
    await made.close()


async def test_time_of_the_look_up_counts_into_the_total_timeout():
    async def hangs(host, port):
        await asyncio.sleep(5)

    made = http(hangs, timeout=0.2)
    error = await failure_of(made.send(envelope()))
    await made.close()
    assert (error.timed_out, error.ambiguous) == (True, False)


async def test_many_waiting_for_one_name_ask_once():
    lookup = lookup_of(["8.8.8.8"])
    names = Names(DENY, lookup)
    await asyncio.gather(*(names.addresses("partner.example", 80) for _ in range(20)))
    assert lookup.calls == ["partner.example"]


async def test_one_that_gives_up_waiting_does_not_spoil_it_for_the_others():
    release = asyncio.Event()

    async def slow(host, port):
        await release.wait()
        return ["8.8.8.8"]

    names = Names(DENY, slow)
    first = asyncio.ensure_future(names.addresses("partner.example", 80))
    second = asyncio.ensure_future(names.addresses("partner.example", 80))
    await asyncio.sleep(0)
    first.cancel()
    release.set()
    assert await second == ["8.8.8.8"]


async def test_system_lookup_finds_localhost_and_fails_as_os_error():
    assert {"127.0.0.1", "::1"} & set(await system_lookup("localhost", 80))
    with pytest.raises(OSError, match=r"."):
        await system_lookup("a" * 70 + ".example", 80)


async def test_hanging_name_server_holds_up_only_its_own_name(monkeypatch):
    stuck = threading.Event()
    real = socket.getaddrinfo

    def getaddrinfo(host, *args, **options):
        if host.endswith(".stuck"):
            stuck.wait(5)
            raise socket.gaierror(-3, "Temporary failure")
        return real(host, *args, **options)

    monkeypatch.setattr(network.socket, "getaddrinfo", getaddrinfo)
    waiting = [asyncio.ensure_future(system_lookup(f"{n}.stuck", 80)) for n in range(40)]
    await asyncio.sleep(0)
    assert await asyncio.wait_for(system_lookup("localhost", 80), 2)
    stuck.set()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_connected_socket_tries_the_next_address(server):
    names = Names(ALLOW, lookup_of(["127.0.0.2", "127.0.0.1"]))
    sock = await connected_socket(names, "mail.example", server.port)
    assert sock.getpeername()[0] in ("127.0.0.1", "127.0.0.2")
    sock.close()


async def test_connected_socket_gives_the_error_of_the_last_address():
    with pytest.raises(ConnectionRefusedError):
        await connected_socket(Names(ALLOW, lookup_of(["127.0.0.1"])), "mail.example", free_port())
