"""The sweep over time: recoveries that have lasted, sources that fell silent, flapping that is over.

Every due time is compared with the database's clock, so a worker whose clock is wrong decides nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import structlog
from django.db import connection, transaction

from apps.alerts import own
from apps.alerts.applying import calm
from apps.alerts.episodes import FLAPS_WITHIN, Life, Source, State, resolves_at
from apps.alerts.models import AlertSource, Episode, SourceKind
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
        if source is None:
            return 0
        _watch(source, now)
        resolved = _resolve_due(source, life_of(source, now), now)
        _calm_down(source, now)
        if resolved:
            transaction.on_commit(lambda: episodes_changed.send(sender=Episode, episode_ids=resolved))
    return len(resolved)


def _watch(source: AlertSource, now: datetime) -> None:
    """Raise or end the alarm that nobody watches; a heartbeat that fell silent sends no message of its own."""
    life = life_of(source, now).life
    if life is Life.BLIND and source.blind_since is None:
        source.blind_since = now
        source.save(update_fields=["blind_since"])
    if source.kind != SourceKind.PORTAL and life is not Life.UNKNOWN:
        own.tell(
            BLIND_ALERT, firing=life is Life.BLIND, now=now, labels=_blind_labels(source), text=_blind_text(source)
        )


def _blind_labels(source: AlertSource) -> dict[str, str]:
    return {"severity": "critical", "source": source.name}


def _blind_text(source: AlertSource) -> str:
    return (
        f"{source.name} sends no heartbeat ({source.watchdog}) any more. What it reports as resolved cannot be "
        "believed, and new alerts may be missed. Look at its Prometheus and Alertmanager."
    )


def _resolve_due(source: AlertSource, life: Source, now: datetime) -> list[int]:
    recovering = Episode.objects.filter(source=source, state=State.RECOVERING).order_by("pk")[:BATCH]
    done: list[int] = []
    for episode in recovering:
        due = resolves_at(episode.as_current(), life)
        if due is not None and due <= now:
            _resolve(episode, life, now)
            done.append(episode.pk)
    return done


def _resolve(episode: Episode, life: Source, now: datetime) -> None:
    episode.state = State.RESOLVED
    episode.resolved_at = now
    episode.flapping = False
    episode.proof = proof_of(episode, life)
    episode.save(update_fields=["state", "resolved_at", "flapping", "proof"])
    log.info("alerts.resolved", episode_id=episode.pk, source=episode.source_id, name=episode.name)


def proof_of(episode: Episode, life: Source) -> list[list[Any]]:
    """What a resolution stands on: [what, does it hold], in the order it is read."""
    return [
        ["told_by_source", not episode.inferred],
        ["normal_for", True],
        ["source_alive", life.life is Life.ALIVE],
        ["confirmed_by_api", episode.absent_since is not None],
    ]


def _calm_down(source: AlertSource, now: datetime) -> None:
    for episode in Episode.objects.filter(source=source, flapping=True).exclude(state=State.RESOLVED)[:BATCH]:
        if calm(episode, now, FLAPS_WITHIN):
            episode.flapping = False
            episode.save(update_fields=["flapping"])
