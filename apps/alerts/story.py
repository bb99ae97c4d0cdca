"""Lines of an alert's story: what happened to it that no post tells."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.alerts.models import Episode, EpisodeEvent


def note_event(
    episode: Episode, kind: str, at: datetime, *, actor: str = "", text: str = "", **detail: Any
) -> EpisodeEvent:
    return EpisodeEvent.objects.create(episode=episode, kind=kind, at=at, actor=actor, text=text, detail=detail)
