"""What keeps a service's messages waiting at the door: its breaker, a pause, a provider's Retry-After."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils.translation import gettext as _

from apps.breakers.selectors import BreakerSnapshot, snapshots_of
from apps.core import human
from apps.core.clock import now
from apps.outbox.models import DeliveryLane
from apps.services.models import Service

CLOSED: Final = "CLOSED"
OPEN: Final = "OPEN"
HALF_OPEN: Final = "HALF_OPEN"
FORCED_OPEN: Final = "FORCED_OPEN"


@dataclass(frozen=True, slots=True)
class Gate:
    """The door of one service, as the database knows it now. ``retry_in`` is in seconds."""

    service: str
    breaker: str = CLOSED
    retry_in: float | None = None
    override_until: datetime | None = None
    override_by: str = ""
    override_reason: str = ""
    paused_at: datetime | None = None
    paused_by: str = ""
    paused_reason: str = ""
    slowed_until: datetime | None = None
    slowed_by: str = ""
    max_in_flight: int = 64
    max_per_second: float | None = None

    @property
    def probing(self) -> bool:
        """Half-open, or open and due: a single message is wanted, to find out whether it works again.

        A breaker of local scope is open without a time of its own; its processes probe by themselves.
        """
        due = self.breaker == OPEN and (self.retry_in is None or self.retry_in <= 0)
        return self.paused_at is None and (due or self.breaker == HALF_OPEN)

    @property
    def shut(self) -> bool:
        """Nothing goes through: paused, forced open, or open until its reset time."""
        return self.paused_at is not None or (self.breaker in (OPEN, FORCED_OPEN) and not self.probing)

    def __str__(self) -> str:
        if self.paused_at is not None:
            text = _("{service} is paused by {who}: {reason}")
            who, why = self.paused_by or _("someone"), self.paused_reason or _("no reason given")
            return text.format(service=self.service, who=who, reason=why)
        if self.breaker == FORCED_OPEN:
            return self._held_open()
        if self.probing:
            text = _("the breaker of {service} is half-open: one message at a time is tried")
        elif self.breaker == OPEN and self.retry_in is not None:
            text = _("the breaker of {service} is open, next try in {seconds} s")
            return text.format(service=self.service, seconds=f"{self.retry_in:.0f}")
        else:
            text = _("the breaker of {service} is open") if self.breaker == OPEN else _("{service} takes messages")
        return text.format(service=self.service)

    def _held_open(self) -> str:
        who = self.override_by or _("an operator")
        if self.override_until is None:
            return _("the breaker of {service} is held open by {who}").format(service=self.service, who=who)
        text = _("the breaker of {service} is held open by {who} until {time}")
        return text.format(service=self.service, who=who, time=human.clock_in_zone(self.override_until, now()))


def gates(names: Iterable[str] | None = None) -> dict[str, Gate]:
    """The gates of the named services, or of all of them. A service that is gone is left out."""
    return gates_of(Service.objects.all() if names is None else Service.objects.filter(pk__in=set(names)))


def gates_of(services: Iterable[Service], breakers: Mapping[str, BreakerSnapshot] | None = None) -> dict[str, Gate]:
    """The gates of services that were read already, with ``breakers`` where these were, too."""
    rows = list(services)
    lanes = DeliveryLane.objects.in_bulk([row.name for row in rows])
    if breakers is None:
        breakers = {snapshot.service: snapshot for snapshot in snapshots_of(rows)}
    return {row.name: gate_of(row, lanes.get(row.name), breakers.get(row.name)) for row in rows}


def gate_of(service: Service, lane: DeliveryLane | None, snapshot: BreakerSnapshot | None) -> Gate:
    """The gate, for who has looked up what it is made of."""
    limits = service.limits_policy
    return Gate(
        service=service.name,
        breaker=str(snapshot.state) if snapshot else CLOSED,
        retry_in=snapshot.retry_in if snapshot else None,
        override_until=snapshot.override_until if snapshot else None,
        override_by=snapshot.override_by if snapshot else "",
        override_reason=snapshot.override_reason if snapshot else "",
        paused_at=service.paused_at,
        paused_by=service.paused_by,
        paused_reason=service.paused_reason,
        slowed_until=lane.slowed_until if lane else None,
        slowed_by=lane.slowed_by if lane else "",
        max_in_flight=limits.max_in_flight,
        max_per_second=limits.max_per_second,
    )
