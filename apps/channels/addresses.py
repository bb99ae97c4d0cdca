"""Which addresses a delivery may go to. Pure: no look-ups here, see network.py.

Ranges from the IANA special-purpose registries and the metadata services of the large clouds.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _mark

from apps.channels.base import NetworkPolicy

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

POLICY_SETTING: Final = "DELIVERY_PRIVATE_NETWORKS"


_NOT_PUBLIC: Final = _mark("a private, loopback or otherwise not public address; {setting} is deny")
# Never a destination, whatever the policy says. The first that matches gives the reason.
_NEVER: Final = {
    _mark(
        "a cloud metadata address; deliveries never go there"
    ): "169.254.169.254/32 169.254.170.2/32 169.254.170.23/32 100.100.100.200/32 "
    "168.63.129.16/32 192.0.0.192/32 fd00:ec2::/32 fd20:ce::254/128",
    _mark("a link-local address; deliveries never go there"): "169.254.0.0/16 fe80::/10",
    _mark("an unspecified address; deliveries never go there"): "0.0.0.0/8 ::/128",
    _mark("a multicast address; deliveries never go there"): "224.0.0.0/4 ff00::/8",
    _mark("a reserved address; deliveries never go there"): "240.0.0.0/4",
}
ALWAYS_REFUSED: Final[list[tuple[str, Network]]] = [
    (name, ip_network(part)) for name, ranges in _NEVER.items() for part in ranges.split()
]
# Private although the standard library calls them global.
ALSO_PRIVATE: Final = [ip_network("fec0::/10"), ip_network("64:ff9b:1::/48")]
NAT64: Final = [ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"), ip_network("::/96")]


def refusal(text: str, policy: NetworkPolicy) -> str | None:
    """Why a delivery may not go to the address ``text``, as a sentence; None if it may.

    An address that carries another one (v4-mapped, NAT64, 6to4, Teredo) is judged by both.
    """
    address = _parse(text)
    if address is None:
        return _("{address} is not an IP address").format(address=text)
    found = _judged(address, policy)
    if found is None:
        return None
    culprit, reason = found
    why = _(reason).format(setting=POLICY_SETTING)
    if culprit == address:
        return _("{address} is {what}").format(address=text, what=why)
    return _("{address} carries {other}, {what}").format(address=text, other=culprit, what=why)


@lru_cache(maxsize=4096)
def _judged(address: Address, policy: NetworkPolicy) -> tuple[Address, str] | None:
    """The address that is refused, this one or one it carries, and why in English."""
    candidates = [address, *_carried(address)]
    for judge in (_never, _private):
        for candidate in candidates:
            reason = judge(candidate, policy)
            if reason:
                return candidate, reason
    return None


def _never(address: Address, _policy: NetworkPolicy) -> str | None:
    for reason, network in ALWAYS_REFUSED:
        if address.version == network.version and address in network:
            return reason
    return None


def _private(address: Address, policy: NetworkPolicy) -> str | None:
    return None if policy.allow_private or not _is_private(address) else _NOT_PUBLIC


def _is_private(address: Address) -> bool:
    if any(address.version == network.version and address in network for network in ALSO_PRIVATE):
        return True
    if any(_carried(address)):
        return False  # a wrapper is as private as what it carries, which is judged by itself
    return not address.is_global


def _carried(address: Address) -> list[IPv4Address]:
    """IPv4 addresses a packet to this IPv6 address would end at."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if int(address) > 1 and any(address in network for network in NAT64):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [item for item in found if item is not None]


def _parse(text: str) -> Address | None:
    """An address without its zone: ``fe80::1%eth0`` is judged as ``fe80::1``."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def literal(host: str) -> str | None:
    """The address a host name spells, in its usual form; None for a real name.

    Knows the spellings resolvers accept: ``2130706433``, ``0x7f.1`` and ``0177.0.0.1`` are 127.0.0.1.
    """
    bare = host.strip("[]").rstrip(".")
    address = _parse(bare)
    if address is not None:
        return str(address)
    try:
        return socket.inet_ntoa(socket.inet_aton(bare)) if bare and not bare[-1].isspace() else None
    except (OSError, UnicodeError):
        return None


def host_refusal(host: str, policy: NetworkPolicy) -> str | None:
    """What can be said against ``host`` without a look-up; the address is checked again at connect."""
    address = literal(host)
    if address is None:
        name = host.rstrip(".").lower()
        local = name == "localhost" or name.endswith(".localhost")
        return refusal("127.0.0.1", policy) if local else None
    reason = refusal(address, policy)
    if reason:
        return reason
    if ":" not in address and host.rstrip(".") != address:
        return _("{host} is an unusual spelling of {address}: write {address}").format(host=host, address=address)
    return None
