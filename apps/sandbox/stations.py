"""The providers that are played, each with its port, its outages and its ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from apps.core.errors import NotFound
from apps.sandbox.ledger import Ledger
from apps.sandbox.listeners import HttpListener, Listener, ProtocolListener
from apps.sandbox.mail import Mailbox
from apps.sandbox.outages import HTTP_MODES, SMTP_MODES, Mode, Outages
from apps.sandbox.providers.base import HttpProvider
from apps.sandbox.providers.billing import BillingWebhook
from apps.sandbox.providers.midtrans import Midtrans
from apps.sandbox.providers.pagerduty import Pagerduty
from apps.sandbox.providers.slack import Slack
from apps.sandbox.providers.whatsapp import Whatsapp
from apps.sandbox.web_provider import WebProvider

# Next to each other, the page first: SANDBOX_PORT + this.
PAGE_OFFSET: Final = 0
OFFSETS: Final = {"midtrans": 1, "whatsapp": 2, "billing-webhook": 3, "smtp": 4, "slack": 5, "pagerduty": 6}


@dataclass
class Station:
    """One provider as it stands there."""

    name: str
    title: str
    endpoint: str
    outages: Outages
    ledger: Ledger
    listener: Listener
    is_http: bool = True
    moving: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def modes(self) -> tuple[Mode, ...]:
        return HTTP_MODES if self.is_http else SMTP_MODES

    @property
    def address(self) -> str:
        scheme = "http" if self.is_http else "smtp"
        return f"{scheme}://127.0.0.1:{self.listener.port}"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every station needs from outside. ``clock`` in seconds, ``now`` aware and UTC."""

    clock: Callable[[], float]
    now: Callable[[], datetime]
    seed: int
    max_keys: int
    base_port: int
    secrets: Mapping[str, str]

    def port(self, name: str) -> int:
        return self.base_port + OFFSETS[name] if self.base_port else 0


def build(around: Surroundings) -> dict[str, Station]:
    """All stations, by name, in the order of the page."""
    played: list[HttpProvider] = [
        Midtrans(),
        Whatsapp(),
        BillingWebhook(around.secrets.get("billing-webhook", "")),
    ]
    told: list[HttpProvider] = [Slack(), Pagerduty()]
    stations = [
        *(_over_http(provider, around) for provider in played),
        _mail(around),
        *(_over_http(provider, around) for provider in told),
    ]
    return {station.name: station for station in stations}


def find(stations: Mapping[str, Station], name: str) -> Station:
    """Raises :class:`NotFound` with the names there are."""
    if name not in stations:
        raise NotFound(f"There is no provider {name!r} in the sandbox. There are {', '.join(stations)}.")
    return stations[name]


def _over_http(provider: HttpProvider, around: Surroundings) -> Station:
    name = provider.name
    outages, ledger = Outages(name, around.seed), Ledger(name, max_keys=around.max_keys)
    web = WebProvider(provider, outages, ledger, around.clock, around.now)
    listener = HttpListener(around.port(name), name, web.runner)
    return Station(name, provider.title, provider.endpoint, outages, ledger, listener)


def _mail(around: Surroundings) -> Station:
    outages, ledger = Outages(Mailbox.name, around.seed), Ledger(Mailbox.name, max_keys=around.max_keys)
    box = Mailbox(outages, ledger, around.clock, around.now)
    listener = ProtocolListener(around.port(Mailbox.name), "mail server", box.connection, box.hang_up)
    return Station(Mailbox.name, Mailbox.title, Mailbox.endpoint, outages, ledger, listener, is_http=False)
