"""One condition at two severities: two alerts to Alertmanager, one matter to people.

The labels are the same but for the severity. While the graver one is open it is the one that pages; the other is kept
as ever, holds its steps, and ends without telling people that all is well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from django.db import transaction

from apps.alerts.episodes import OPEN_STATES, State
from apps.alerts.models import Episode
from apps.alerts.severity import Severity
from apps.alerts.story import note_event

BATCH: Final = 2000
CHUNK: Final = 500
# Security goes to other people, and of what is unknown nobody can say which is graver.
RANKS: Final = {Severity.CRITICAL: 4, Severity.WARNING: 3, Severity.NOTICE: 2, Severity.INFO: 1}


@transaction.atomic
def link(now: datetime) -> int:
    """Look at what has just begun to fire. Returns how many were outranked."""
    fresh = Episode.objects.filter(state=State.FIRING, escalation__isnull=True, severity__in=RANKS)
    begun = list(fresh.exclude(condition="").order_by("pk")[:BATCH])
    return sum(_ranked(group, now) for group in _siblings(begun))


def _siblings(begun: Sequence[Episode]) -> Iterable[list[Episode]]:
    """Open episodes that share source and condition, where there are two or more."""
    conditions = sorted({episode.condition for episode in begun})
    wanted = {(episode.source_id, episode.condition) for episode in begun}
    found: dict[tuple[str, str], list[Episode]] = defaultdict(list)
    for start in range(0, len(conditions), CHUNK):
        chunk = conditions[start : start + CHUNK]
        for episode in Episode.objects.filter(condition__in=chunk, state__in=OPEN_STATES, severity__in=RANKS):
            found[episode.source_id, episode.condition].append(episode)
    return [group for key, group in sorted(found.items()) if key in wanted and len(group) > 1]


def _ranked(group: Sequence[Episode], now: datetime) -> int:
    highest = max(group, key=lambda episode: (RANKS[Severity(episode.severity)], episode.pk))
    lower = [
        episode
        for episode in group
        if RANKS[Severity(episode.severity)] < RANKS[Severity(highest.severity)]
        and episode.outranked_by_id != highest.pk
    ]
    for episode in lower:
        Episode.objects.filter(pk=episode.pk).update(outranked_by=highest)
        note_event(episode, "outranked", now, by=highest.pk, severity=highest.severity)
        note_event(highest, "outranks", now, other=episode.pk, severity=episode.severity)
    return len(lower)
