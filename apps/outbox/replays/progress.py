"""How far a replay is. Counters are counted anew from the items each time, never added to, so that a
process killed anywhere cannot leave them wrong.
"""

from __future__ import annotations

from typing import Final

from django.db.models import Count

from apps.outbox.models import Replay, ReplayItem, ReplayState

State = ReplayItem.State
RUNNING_STATES: Final = (ReplayState.CANARY, ReplayState.RUNNING)
ENDED_STATES: Final = (ReplayState.DONE, ReplayState.CANCELLED)


def count_items(replay: Replay) -> int:
    """Set the counters of ``replay`` (not saved): ``released`` is what is on its way now. Returns how
    many still wait. Items whose message was pruned are gone and count as skipped.
    """
    rows = ReplayItem.objects.filter(replay_id=replay.pk).order_by().values_list("state").annotate(items=Count("id"))
    counts: dict[str, int] = {str(state): items for state, items in rows}
    gone = max(0, replay.total - sum(counts.values()))
    replay.released = counts.get(State.RELEASED, 0)
    replay.sent = counts.get(State.SENT, 0)
    replay.failed = counts.get(State.FAILED, 0)
    replay.skipped = counts.get(State.SKIPPED, 0) + gone
    return counts.get(State.WAITING, 0)


def settled(replay: Replay) -> int:
    """Items whose message was sent or died again."""
    return int(replay.sent + replay.failed)


def failed_percent(replay: Replay) -> float:
    """Share of the settled items that died again, 0 to 100."""
    return 100 * replay.failed / settled(replay) if settled(replay) else 0.0


def waiting(replay: Replay) -> int:
    """Items not put back yet, by the counters."""
    return max(0, replay.total - replay.released - replay.sent - replay.failed - replay.skipped)
