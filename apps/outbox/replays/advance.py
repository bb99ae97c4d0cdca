"""One step of a replay: look what became of the letters put back, decide, put back some more.

A step is one transaction with the replay's row locked. Steps can be repeated, skipped or cut off
anywhere: everything is derived again from the items, the messages and the database's clock.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.models import Q

from apps.core.db import database_now
from apps.outbox.delivery.fairness import refill, shares
from apps.outbox.gates import Gate, gates
from apps.outbox.models import DeadLetter, Replay, ReplayItem, ReplayState
from apps.outbox.replays.observe import Looked, look_at_released
from apps.outbox.replays.preparing import prepare_all
from apps.outbox.replays.progress import ENDED_STATES, RUNNING_STATES, count_items, failed_percent, settled
from apps.outbox.replays.release import release

log = structlog.get_logger(__name__)

# A share of failures means something only among several.
MIN_SETTLED: Final = 10
# What may be on its way at once, per service: twice what the last step saw settle, but at least twice
# its slots. So a replay finds its speed by itself, and fresh messages never wait behind more
# replayed ones than the service gets through in about two ticks.
WINDOW: Final = 2
MAX_WINDOW: Final = 2000
MAX_NOTE: Final = 2000
# One step a second would cap a replay at MAX_WINDOW letters a second. While so many settle between two steps that
# the window is what holds it back, the tick takes further steps within this time.
TICK_S: Final = 0.8
BUSY: Final = 250
# How far back the rate "now" can be looked up.
PACE_S: Final = 60.0


def advance_all() -> int:
    """Take every unfinished replay a step further, a busy one several. Returns how many steps were taken."""
    unfinished = Replay.objects.filter(Q(state__in=RUNNING_STATES) | Q(released__gt=0))
    ends, moved = time.monotonic() + TICK_S, 0
    todo = list(unfinished.order_by("id").values_list("id", flat=True))
    while todo:
        settled_now = {replay_id: _advance_safely(replay_id) for replay_id in todo}
        moved += sum(count is not None for count in settled_now.values())
        todo = [replay_id for replay_id, count in settled_now.items() if (count or 0) >= BUSY]
        if time.monotonic() >= ends:
            break
    return moved + prepare_all()


def _advance_safely(replay_id: int) -> int | None:
    try:
        return _step(replay_id)
    except DatabaseError:  # one replay must not hold up the others; the next tick tries it again
        log.exception("replay.step_failed", replay_id=replay_id)
        return None


def advance(replay_id: int) -> bool:
    """One step of one replay. False when it is gone, not prepared yet, or another process is at it."""
    return _step(replay_id) is not None


def _step(replay_id: int) -> int | None:
    """How many letters had settled since the step before; None when it is gone or another process is at it."""
    with transaction.atomic():
        replay = _locked(replay_id)
        if replay is None:
            return None
        was, now = replay.state, database_now()
        looked = look_at_released(replay)
        _decide(replay, count_items(replay), now)
        if replay.state in RUNNING_STATES:
            _put_back(replay, looked, now)
            _decide(replay, count_items(replay), now)
        replay.pace = _pace(replay, now)
        replay.save()
    if replay.state != was:
        log.info("replay.moved", replay_id=replay_id, state=replay.state, sent=replay.sent, failed=replay.failed)
    return looked.settled.total()


def _pace(replay: Replay, now: datetime) -> list[list[float]]:
    """One sample a second of the last minute."""
    at = round(now.timestamp(), 1)
    kept = [sample for sample in replay.pace if at - sample[0] <= PACE_S]
    if kept and at - kept[-1][0] < 1:
        kept.pop() if len(kept) > 1 and at - kept[-2][0] < 1 else None
    return [*kept, [at, settled(replay)]]


def _locked(replay_id: int) -> Replay | None:
    skip = connection.features.has_select_for_update_skip_locked
    made = Replay.objects.exclude(state=ReplayState.PREPARING)
    return made.select_for_update(skip_locked=skip).filter(pk=replay_id).first()


def _decide(replay: Replay, waiting: int, now: datetime) -> None:
    if replay.state in ENDED_STATES:
        return
    if not waiting and not replay.released:
        replay.state, replay.finished_at = ReplayState.DONE, now
    elif replay.state == ReplayState.CANARY:
        _judge_canary(replay, now)
    elif replay.state == ReplayState.RUNNING and _too_many_failed(replay):
        _stop(replay, f"{failed_percent(replay):.0f} % failed again, more than {replay.stop_above_percent:g} %")


def _too_many_failed(replay: Replay) -> bool:
    return settled(replay) >= MIN_SETTLED and failed_percent(replay) > replay.stop_above_percent


def _judge_canary(replay: Replay, now: datetime) -> None:
    if replay.failed:
        _stop(replay, f"{replay.failed} of the first {replay.canary} failed again")
    elif replay.sent >= replay.canary:
        replay.state, replay.canary_passed_at = ReplayState.RUNNING, now


def _stop(replay: Replay, why: str) -> None:
    again = replay.items.filter(state=ReplayItem.State.FAILED).order_by("-settled_at").values("message_id")[:1]
    error = DeadLetter.objects.filter(message_id__in=again).order_by("-id").values_list("error", flat=True).first()
    note = f"{why}. Last error: {error[:300]}" if error else f"{why}."
    replay.note = f"{replay.note}\n{note}".strip()[-MAX_NOTE:]
    replay.state = ReplayState.STOPPED


def _put_back(replay: Replay, looked: Looked, now: datetime) -> None:
    """Within the rate, the canary and each service's room; twice, so that what one service leaves of
    the budget goes to the others.
    """
    services: list[str] = replay.selection["services"]
    doors = gates(services)
    room = {name: _room(gate, looked) for name, gate in doors.items()}
    budget = _budget(replay, now, sum(room.values()))
    turn = settled(replay) % max(1, len(services))
    for _ in range(2):
        names = [name for name in services[turn:] + services[:turn] if room.get(name, 0) > 0]
        for name, quota in shares(names, budget):
            only = None if len(services) == 1 else name
            want = min(quota, room[name])
            done = release(replay, want, service=only)
            room[name] = room[name] - done if done == want else 0
            budget -= done
            if replay.per_second is not None:
                replay.tokens -= done


def _room(gate: Gate, looked: Looked) -> int:
    """How many more of a service may be put back now. While its breaker probes, one at a time: without
    fresh messages a service would otherwise never be tried again.
    """
    if gate.shut:
        return 0
    slots = WINDOW * gate.max_in_flight
    window = 1 if gate.probing else max(slots, min(MAX_WINDOW, WINDOW * looked.settled[gate.service]))
    return max(0, window - looked.under_way[gate.service])


def _budget(replay: Replay, now: datetime, room: int) -> int:
    """Fills the token bucket. It begins with one second's worth and holds two, for a tick that comes late."""
    if replay.state == ReplayState.CANARY:
        room = min(room, replay.canary - settled(replay) - replay.released)
    if replay.per_second is None:
        return room
    if replay.advanced_at is None:
        replay.tokens = max(1.0, replay.per_second)
    else:
        elapsed = (now - replay.advanced_at).total_seconds()
        replay.tokens = refill(replay.tokens, elapsed, replay.per_second, max(1.0, 2 * replay.per_second))
    replay.advanced_at = now
    return min(room, int(replay.tokens))
