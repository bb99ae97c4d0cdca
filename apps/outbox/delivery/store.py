"""What the engine asks of the database, all of it run on the engine's one database thread."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, connection

from apps.breakers.guard import breaker
from apps.channels.base import NetworkPolicy
from apps.channels.registry import build
from apps.core.actor import SYSTEM
from apps.core.errors import PortalError
from apps.outbox.delivery import sweeps
from apps.outbox.delivery.claim import Claim, Want, claim
from apps.outbox.delivery.lanes import Lane, LaneConfig
from apps.outbox.delivery.outcome import Settlement
from apps.outbox.delivery.settle import settle
from apps.outbox.models import DeliveryLane
from apps.outbox.templating.choosing import Stored, TemplateKey, find_texts, key_of
from apps.services.models import Service
from apps.services.services import pause

log = structlog.get_logger(__name__)

Templates = Mapping[TemplateKey, Stored]
UNWRITABLE: Final = (DataError, IntegrityError)


@contextmanager
def healthy_connection() -> Iterator[None]:
    """A connection that failed is closed, so that the next statement opens a new one."""
    try:
        with one_writer():
            yield
    except UNWRITABLE:
        raise
    except (DatabaseError, InterfaceError):
        connection.close()
        raise


@contextmanager
def one_writer() -> Iterator[None]:
    """Engines of one SQLite file take turns by a file lock, which wakes the next one at once; SQLite's own
    wait for its single writer sleeps up to 100 ms at a time. A killed process lets go of it."""
    if connection.vendor != "sqlite":
        yield
        return
    with Path(f"{connection.settings_dict['NAME']}-engines").open("ab") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def worker_name() -> str:
    """Who claims: ``delivery@host-pid``."""
    return f"delivery@{socket.gethostname()}-{os.getpid()}"


@dataclass(slots=True)
class Store:
    """The engine's view of the database."""

    worker: str = field(default_factory=worker_name)
    rng: random.Random = field(default_factory=random.SystemRandom)

    @property
    def threads(self) -> int:
        """PostgreSQL claims and settles side by side; SQLite has one writer, and two would only wait."""
        return 2 if connection.vendor == "postgresql" else 1

    def claim(self, want: Want) -> tuple[Claim, Templates]:
        """Claim messages and read the named templates they use."""
        with healthy_connection():
            found = claim(want, self.worker)
        keys = {key_of(row) for row in found.rows if row.template}
        return found, find_texts(keys, want.service) if keys else {}

    def settle(self, batch: Sequence[Settlement]) -> None:
        """Settle a batch. If the batch as a whole is refused, each item alone, so that one row that
        cannot be written does not take its siblings with it."""
        try:
            with healthy_connection():
                settle(batch, self.worker)
        except UNWRITABLE as error:
            log.error("settle.refused", error=str(error), messages=len(batch), next="each alone")
            for item in batch:
                self._settle_alone(item)
        refusals = {item.report.service: item.report.error for item in batch if item.report.pauses_service}
        for service, words in refusals.items():
            self._pause(service, words)

    def _settle_alone(self, item: Settlement) -> None:
        try:
            settle([item], self.worker)
        except UNWRITABLE:
            log.exception("settle.unwritable", message_id=item.report.row.id)
            report = item.report._replace(error="What the provider answered cannot be stored.", response="")
            settle([item._replace(report=report)], self.worker)

    def sweep(self) -> None:
        with healthy_connection():
            sweeps.rescue_lost(self.rng)
            sweeps.expire_overdue()
            sweeps.release_orphans()

    def lane_configs(self) -> Mapping[str, LaneConfig]:
        """Every service that can be delivered to; one that cannot is logged and left out."""
        configs: dict[str, LaneConfig] = {}
        with healthy_connection():
            services = list(Service.objects.select_related("deliverylane"))
        self._make_lanes([service for service in services if not hasattr(service, "deliverylane")])
        for service in services:
            try:
                configs[service.name] = _config_of(service)
            except (PortalError, OSError) as error:
                log.error("service.misconfigured", service=service.name, error=str(error))
        return configs

    @staticmethod
    def _make_lanes(services: Sequence[Service]) -> None:
        DeliveryLane.objects.bulk_create([DeliveryLane(service=service) for service in services], ignore_conflicts=True)

    @staticmethod
    def open_lane(config: LaneConfig) -> Lane:
        channel = build(
            config.channel_kind,
            service=config.service,
            settings=config.settings,
            secrets=config.secrets,
            timeout=config.breaker.timeout,
            max_in_flight=config.limits.max_in_flight,
            network=NetworkPolicy(allow_private=settings.DELIVERY_PRIVATE_NETWORKS == "allow"),
        )
        return Lane(config, channel, breaker(config.service))

    @staticmethod
    def forget_connection(barrier: threading.Barrier) -> None:
        """Close this thread's connection; the barrier gives each thread one of these jobs."""
        with suppress(threading.BrokenBarrierError):  # another thread is stuck; close ours all the same
            barrier.wait(5)
        connection.close()

    @staticmethod
    def _pause(service: str, error: str) -> None:
        """Nothing sent to it can succeed until a person has acted, so its messages wait instead of dying."""
        pause(
            name=service,
            actor=SYSTEM,
            reason=f"The destination refuses every message: {error} Correct the service with its owner, then resume.",
        )


def _config_of(service: Service) -> LaneConfig:
    return LaneConfig(
        service=service.name,
        version=(service.config_version, service.updated_at),
        channel_kind=service.channel,
        settings=service.settings,
        secrets=tuple(service.secrets()),
        retry=service.retry_policy,
        breaker=service.breaker_policy,
        limits=service.limits_policy,
        ordering=service.ordering_policy,
    )
