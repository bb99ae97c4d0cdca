"""The sweep over time: recoveries that have lasted, sources that fell silent, flapping that is over.

Every due time is compared with the database's clock, so a worker whose clock is wrong decides nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import structlog
from django.db import connection, transaction

from apps.alerts import own
from apps.alerts.applying import calm, resolve
from apps.alerts.episodes import FLAPS_WITHIN, Life, Source, State, resolves_at
from apps.alerts.models import AlertDelivery, AlertSource, DeliveryState, Episode, SourceKind
from apps.alerts.signals import episodes_changed
from apps.alerts.watching import life_of
from apps.core.db import database_now

log = structlog.get_logger(__name__)

BATCH: Final = 500
BLIND_ALERT: Final = "MonitoringBlind"


def settle_all(now: datetime | None = None) -> int:
    """Everything that is due. Safe side by side: a source is settled by one process at a time."""
    at = now or database_now()
    return sum(settle_source(name, at) for name in list(AlertSource.objects.values_list("pk", flat=True)))


def settle_source(name: str, now: datetime) -> int:
    """Returns how many episodes were resolved."""
    skip = connection.features.has_select_for_update_skip_locked
    with transaction.atomic():
        source = AlertSource.objects.select_for_update(skip_locked=skip).filter(pk=name).first()
        if source is None or _unread(source, now):
            return 0
        _watch(source, now)
        resolved = _resolve_due(source, life_of(source, now), now)
        _calm_down(source, now)
        if resolved:
            transaction.on_commit(lambda: episodes_changed.send(sender=Episode, episode_ids=resolved))
    return len(resolved)


def _unread(source: AlertSource, now: datetime) -> bool:
    """Posts that nobody has read yet may say that it lives, or that an alert fires again: they are read first."""
    return AlertDelivery.objects.filter(source=source, state=DeliveryState.STORED, received_at__lte=now).exists()


def _watch(source: AlertSource, now: datetime) -> None:
    """Raise or end the alarm that nobody watches; a heartbeat that fell silent sends no message of its own."""
    life = life_of(source, now).life
    if life is Life.BLIND and source.blind_since is None:
        source.blind_since = now
        source.save(update_fields=["blind_since"])
    if source.kind != SourceKind.PORTAL:
        # One that is switched off is silent on purpose; one whose heartbeat was taken away has no alarm to keep.
        alarm = life is Life.BLIND and source.disabled_at is None
        own.tell(
            BLIND_ALERT,
            firing=alarm,
            now=now,
            labels=_blind_labels(source),
            text=_blind_text(source),
            annotations={"runbook_url": "docs/runbooks/monitoring-blind.md"},
        )


def _blind_labels(source: AlertSource) -> dict[str, str]:
    return {"severity": "critical", "source": source.name}


def _blind_text(source: AlertSource) -> str:
    return (
        f"{source.name} sends no heartbeat ({source.watchdog}) any more. What it reports as resolved cannot be "
        "believed, and new alerts may be missed. Look at its Prometheus and Alertmanager."
    )


def _resolve_due(source: AlertSource, life: Source, now: datetime) -> list[int]:
    # In the order they fall due, so that those which are not due stand before nobody.
    recovering = Episode.objects.filter(source=source, state=State.RECOVERING).order_by("normal_since", "pk")[:BATCH]
    done: list[int] = []
    for episode in recovering:
        due = resolves_at(episode.as_current(), life)
        if due is not None and due <= now:
            _resolve(episode, life, now)
            done.append(episode.pk)
    return done


def _resolve(episode: Episode, life: Source, now: datetime) -> None:
    resolve(episode, life, now)
    episode.save(update_fields=["state", "resolved_at", "flapping", "proof"])
    log.info("alerts.resolved", episode_id=episode.pk, source=episode.source_id, name=episode.name)


def _calm_down(source: AlertSource, now: datetime) -> None:
    for episode in (
        Episode.objects.filter(source=source, flapping=True)
        .exclude(state=State.RESOLVED)
        .order_by("last_fired_at")[:BATCH]
    ):
        if calm(episode, now, FLAPS_WITHIN):
            episode.flapping = False
            episode.save(update_fields=["flapping"])
