"""The tables of the outbox. Other programs write and read them, so defaults live in the database."""

from __future__ import annotations

from apps.outbox.models.figures import DeliveryLane, DeliveryMinute
from apps.outbox.models.letters import (
    Cause,
    DeadLetter,
    DeadLetterState,
    DeathReason,
    Triage,
    TriageMark,
    TriageState,
    TriageVerb,
)
from apps.outbox.models.messages import (
    LIVE,
    UNSENT,
    WAITING,
    Attempt,
    AttemptOutcome,
    Message,
    MessageStatus,
    MessageTemplate,
)
from apps.outbox.models.replays import Replay, ReplayItem, ReplayState

__all__ = [
    "LIVE",
    "UNSENT",
    "WAITING",
    "Attempt",
    "AttemptOutcome",
    "Cause",
    "DeadLetter",
    "DeadLetterState",
    "DeathReason",
    "DeliveryLane",
    "DeliveryMinute",
    "Message",
    "MessageStatus",
    "MessageTemplate",
    "Replay",
    "ReplayItem",
    "ReplayState",
    "Triage",
    "TriageMark",
    "TriageState",
    "TriageVerb",
]
