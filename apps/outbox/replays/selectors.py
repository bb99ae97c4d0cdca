"""Reading replays: the list, one with its progress, its items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from apps.core.clock import now
from apps.core.errors import Invalid, NotFound
from apps.core.pagination import Page, page_by_id
from apps.outbox.gates import gates
from apps.outbox.models import Replay, ReplayItem
from apps.outbox.replays.progress import ENDED_STATES, RUNNING_STATES, failed_percent, settled, waiting

LEGAL: Final = {
    "canary": ("pause", "cancel"),
    "running": ("pause", "cancel"),
    "paused": ("resume", "cancel"),
    "stopped": ("resume", "cancel"),
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay is. ``per_second`` is what ended per second so far, ``seconds_left`` an estimate
    (None when unknown or ended), ``waits_for`` what holds it back now, ``actions`` what may be done to it.
    """

    replay: Replay
    waiting: int
    done_percent: float
    failed_percent: float
    per_second: float
    seconds_left: float | None
    waits_for: list[str]
    actions: tuple[str, ...]


def get_replay(replay_id: int) -> Replay:
    """Raises :class:`NotFound`."""
    replay = Replay.objects.filter(pk=replay_id).first()
    if replay is None:
        raise NotFound(f"There is no replay {replay_id}.")
    return replay


def progress(replay: Replay) -> Progress:
    """How far ``replay`` is, by its counters: they are at most one tick old."""
    left = waiting(replay)
    ended = settled(replay) + replay.skipped
    seconds = ((replay.finished_at or now()) - replay.created_at).total_seconds()
    rate = settled(replay) / seconds if seconds > 0 else 0.0
    going = replay.state in RUNNING_STATES
    remaining = left + replay.released
    return Progress(
        replay=replay,
        waiting=left,
        done_percent=100 * ended / replay.total if replay.total else 100.0,
        failed_percent=failed_percent(replay),
        per_second=rate,
        seconds_left=remaining / rate if going and rate else None,
        waits_for=_waits_for(replay) if going and remaining else [],
        actions=LEGAL.get(replay.state, ()),
    )


def _waits_for(replay: Replay) -> list[str]:
    doors = gates(replay.selection.get("services", []))
    return [str(gate) for gate in doors.values() if gate.shut or gate.probing]


def list_replays(*, state: str = "", cursor: int | None = None, limit: int = 50) -> Page[Replay]:
    """Replays, newest first; ``state`` may also be ``unfinished``."""
    replays = Replay.objects.all()
    if state == "unfinished":
        replays = replays.exclude(state__in=ENDED_STATES)
    elif state:
        replays = replays.filter(state=state)
    return page_by_id(replays, cursor=cursor, limit=limit)


def replay_items(replay_id: int, *, state: str = "", cursor: int | None = None, limit: int = 50) -> Page[ReplayItem]:
    """What became of each letter of a replay, newest first."""
    if state and state not in ReplayItem.State.values:
        raise Invalid.field("state", f"must be one of {', '.join(ReplayItem.State.values)}")
    items = ReplayItem.objects.filter(replay_id=replay_id).select_related("dead_letter")
    return page_by_id(items.filter(state=state) if state else items, cursor=cursor, limit=limit)
