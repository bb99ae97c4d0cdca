"""A decision put into an episode's row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from apps.alerts.episodes import Decision, Life, Source, State, Verdict, is_flapping
from apps.alerts.fingerprint import fingerprint_of
from apps.alerts.models import AlertSource, Episode
from apps.alerts.parsing import Observation
from apps.alerts.severity import severity_of

KEPT_TIMES: Final = 50


def opened(source: AlertSource, seen: Observation, decision: Decision, now: datetime, service: str) -> Episode:
    """A new episode, unsaved. One that is told of only when it is over is closed at once and pages nobody."""
    over = decision.verdict is Verdict.HISTORY
    episode = Episode(
        source=source,
        fingerprint=seen.fingerprint,
        state=decision.state or State.FIRING,
        service=service,
        condition=condition_of(seen.labels),
        starts_at=seen.starts_at,
        ends_at=seen.ends_at if over else None,
        first_seen_at=now,
        last_fired_at=now,
        last_resolved_at=now if over else None,
        resolved_at=now if over else None,
        proof=[["told_when_over", True]] if over else [],
    )
    describe(episode, seen)
    return episode


def condition_of(labels: Mapping[str, str]) -> str:
    """The same for every severity of one condition."""
    return fingerprint_of({name: value for name, value in labels.items() if name not in ("severity", "priority")})


def describe(episode: Episode, seen: Observation) -> None:
    """Labels and texts follow the newest word of the sender; that alone pages nobody."""
    episode.name = seen.name
    episode.severity = severity_of(seen.labels)
    episode.labels = seen.labels
    episode.annotations = seen.annotations
    episode.generator_url = seen.generator_url


def apply(episode: Episode, seen: Observation, decision: Decision, now: datetime) -> None:
    """What ``decision`` says, into ``episode``, unsaved."""
    describe(episode, seen)
    if decision.state is State.FIRING:
        _fires(episode, seen, decision, now)
    elif decision.verdict is Verdict.RECOVERING:
        episode.state = State.RECOVERING
        episode.normal_since = decision.normal_since
        episode.ends_at = seen.ends_at
        episode.last_resolved_at = now
    elif decision.verdict is Verdict.STILL_RECOVERING and episode.inferred:
        episode.inferred = False  # the source says it itself now
        episode.ends_at = seen.ends_at
        episode.last_resolved_at = now


def _fires(episode: Episode, seen: Observation, decision: Decision, now: datetime) -> None:
    again = decision.verdict in (Verdict.REFIRED, Verdict.FLAPPED)
    if again:
        episode.fired_again += 1
        episode.refired = [*episode.refired, now.isoformat()][-KEPT_TIMES:]
        episode.flapping = is_flapping([datetime.fromisoformat(at) for at in episode.refired], now)
        episode.starts_at = seen.starts_at or episode.starts_at
    episode.state = State.FIRING
    episode.normal_since = None
    episode.inferred = False
    episode.absent_since = None
    episode.last_fired_at = now


def calm(episode: Episode, now: datetime, within: timedelta) -> bool:
    """Has it stopped flapping?"""
    times = [datetime.fromisoformat(at) for at in episode.refired]
    return not times or now - times[-1] >= within


def resolve(episode: Episode, life: Source, at: datetime) -> None:
    """It is over, unsaved."""
    episode.state = State.RESOLVED
    episode.resolved_at = at
    episode.flapping = False
    episode.proof = proof_of(episode, life)


def proof_of(episode: Episode, life: Source) -> list[list[Any]]:
    """What a resolution stands on: [what, does it hold], in the order it is read."""
    return [
        ["told_by_source", not episode.inferred],
        ["normal_for", True],
        ["source_alive", life.life is Life.ALIVE],
        ["confirmed_by_api", episode.absent_since is not None],
    ]
