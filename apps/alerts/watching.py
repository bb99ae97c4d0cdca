"""Is a source still watching? An alert that always fires (Watchdog) is its heartbeat, and never an episode."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Greatest

from apps.alerts.episodes import Life, Source
from apps.alerts.models import AlertDelivery, AlertSource, SourceHour, SourceKind
from apps.alerts.parsing import FIRING, Observation, Parsed


def is_watchdog(source: AlertSource, seen: Observation) -> bool:
    return bool(source.watchdog) and seen.labels.get("alertname") == source.watchdog


HEARD: Final = (
    *("last_post_at", "agent", "payload_version", "truncated", "quarantined"),
    *("watchdog_at", "blind_since", "alive_since", "peers"),
)
PEERS: Final = 20


def heard(source: AlertSource, delivery: AlertDelivery, said: Parsed, *, overtaken: bool = False) -> None:
    """What a post says of its source, whatever it says of alerts. ``overtaken``: a later one was read before it."""
    at = delivery.received_at
    source.last_post_at = max(source.last_post_at or at, at) if overtaken else at
    source.agent = delivery.headers.get("User-Agent", "")[:200]
    source.payload_version = said.version[:16]
    source.truncated += said.truncated
    source.quarantined += len(said.rejected)
    for seen in said.observations:
        if is_watchdog(source, seen):
            _told(source, seen.status, at, overtaken)
    _met(source, delivery, said)
    source.save(update_fields=HEARD)
    _counted(source, delivery, said)


def _met(source: AlertSource, delivery: AlertDelivery, said: Parsed) -> None:
    """Each Alertmanager of a pair names itself by its externalURL; the ones heard of last are kept."""
    if not said.external_url:
        return
    told = {"at": delivery.received_at.isoformat(), "address": delivery.address, "agent": source.agent}
    peers = source.peers | {said.external_url[:500]: told}
    source.peers = dict(sorted(peers.items(), key=lambda item: item[1].get("at", ""), reverse=True)[:PEERS])


def _counted(source: AlertSource, delivery: AlertDelivery, said: Parsed) -> None:
    """Into the hour it came in. The caller holds the row of the source, so nobody else counts for it."""
    hour = delivery.received_at.replace(minute=0, second=0, microsecond=0)
    SourceHour.objects.get_or_create(source=source, hour=hour)
    SourceHour.objects.filter(source=source, hour=hour).update(
        posts=F("posts") + 1,
        alerts=F("alerts") + len(said.observations) + len(said.rejected),
        truncated=F("truncated") + said.truncated,
        quarantined=F("quarantined") + len(said.rejected),
        largest=Greatest(F("largest"), delivery.size),
    )


def _told(source: AlertSource, status: str, at: datetime, overtaken: bool) -> None:
    known = source.watchdog_at if status != FIRING else source.blind_since or source.watchdog_at
    if overtaken and known is not None and at < known:
        return
    _beat(source, at) if status == FIRING else _blind(source, at)


def _beat(source: AlertSource, at: datetime) -> None:
    source.watchdog_at = at
    if source.blind_since is not None:
        source.blind_since, source.alive_since = None, at


def _blind(source: AlertSource, at: datetime) -> None:
    """The alert that always fires has ended: nobody evaluates the rules any more."""
    source.blind_since = source.blind_since or at


def life_of(source: AlertSource, now: datetime) -> Source:
    """What its heartbeat says at ``now``. The portal watches itself with what asks this."""
    if source.kind == SourceKind.PORTAL:
        return Source(Life.ALIVE, normal_for=normal_for())
    if source.watchdog_at is None and source.blind_since is None:
        return Source(Life.UNKNOWN, normal_for=normal_for())
    stale = source.watchdog_at is None or now - source.watchdog_at > timedelta(seconds=source.watchdog_timeout)
    if source.blind_since is not None or stale:
        return Source(Life.BLIND, normal_for=normal_for())
    return Source(Life.ALIVE, source.alive_since, normal_for())


def normal_for() -> timedelta:
    """How long an alert must be normal before it is resolved."""
    return timedelta(seconds=settings.ALERT_NORMAL_S)
