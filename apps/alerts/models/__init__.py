"""Where alerts come from, what was posted, and what became of it."""

from __future__ import annotations

from apps.alerts.models.episodes import AlertLog, Episode, EpisodeEvent
from apps.alerts.models.escalation import EngineHeartbeat, Escalation, Fate, Notification, NotificationOutcome, Storm
from apps.alerts.models.quiet import Maintenance, Silence, SilenceState
from apps.alerts.models.routing import Rotation, RotationOverride, RoutingVersion
from apps.alerts.models.sources import (
    AlertDelivery,
    AlertSource,
    DeliveryState,
    Quarantined,
    Refusal,
    SourceHour,
    SourceKind,
)

__all__ = [
    "AlertDelivery",
    "AlertLog",
    "AlertSource",
    "DeliveryState",
    "EngineHeartbeat",
    "Episode",
    "EpisodeEvent",
    "Escalation",
    "Fate",
    "Maintenance",
    "Notification",
    "NotificationOutcome",
    "Quarantined",
    "Refusal",
    "Rotation",
    "RotationOverride",
    "RoutingVersion",
    "Silence",
    "SilenceState",
    "SourceHour",
    "SourceKind",
    "Storm",
]
