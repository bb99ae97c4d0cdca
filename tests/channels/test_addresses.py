from __future__ import annotations

import pytest

from apps.channels.addresses import host_refusal, literal, refusal
from tests.channels.support import ALLOW, DENY

NEVER = {
    "169.254.169.254": "metadata",
    "169.254.170.2": "metadata",
    "100.100.100.200": "metadata",
    "168.63.129.16": "metadata",
    "192.0.0.192": "metadata",
    "fd00:ec2::254": "metadata",
    "fd20:ce::254": "metadata",
    "169.254.1.1": "link-local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fe80::a9fe:a9fe%25lo": "link-local",
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "::": "unspecified",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "255.255.255.255": "reserved",
    "240.0.0.1": "reserved",
    "::ffff:169.254.169.254": "metadata",
    "::ffff:a9fe:a9fe": "metadata",
    "::169.254.169.254": "metadata",
    "64:ff9b::a9fe:a9fe": "metadata",
    "64:ff9b:1::a9fe:a9fe": "metadata",
    "2002:a9fe:a9fe::1": "metadata",
    "2001:0:a9fe:a9fe::1": "metadata",
    "::ffff:0.0.0.0": "unspecified",
}
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.5.4",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "64:ff9b:1::808:808",
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "2002:7f00:1::1",
    "2001:db8::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.mark.parametrize("policy", [ALLOW, DENY])
@pytest.mark.parametrize(("address", "reason"), NEVER.items())
def test_link_local_metadata_unspecified_and_multicast_are_always_refused(address, reason, policy):
    found = refusal(address, policy)
    assert found is not None
    assert reason in found
    assert address in found


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_follow_the_policy_which_the_reason_names(address):
    found = refusal(address, DENY)
    assert found is not None
    assert "DELIVERY_PRIVATE_NETWORKS" in found
    assert refusal(address, ALLOW) is None


@pytest.mark.parametrize("policy", [ALLOW, DENY])
@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed_also_inside_ipv6(address, policy):
    assert refusal(address, policy) is None


@pytest.mark.parametrize("text", ["", "example.com", "1.2.3", "::g"])
def test_what_is_no_address_is_refused(text):
    assert refusal(text, ALLOW)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("2852039166", "169.254.169.254"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("0251.0376.0251.0376", "169.254.169.254"),
        ("169.254.169.254.", "169.254.169.254"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("example.com", None),
        ("1.example", None),
        ("", None),
        ("bücher.example", None),
    ],
)
def test_literal_knows_decimal_octal_hex_and_short_spellings(host, address):
    assert literal(host) == address


@pytest.mark.parametrize("host", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[fe80::1%25eth0]", "0"])
def test_unusual_spellings_of_refused_addresses_are_refused(host):
    assert host_refusal(host, ALLOW)


def test_unusual_spelling_of_an_allowed_address_says_what_to_write():
    assert host_refusal("0x8.8.8.8", ALLOW) == "0x8.8.8.8 is an unusual spelling of 8.8.8.8: write 8.8.8.8"


def test_localhost_is_loopback_without_a_look_up():
    assert host_refusal("localhost", DENY)
    assert host_refusal("api.localhost.", DENY)
    assert host_refusal("localhost", ALLOW) is None
    assert host_refusal("example.com", DENY) is None
