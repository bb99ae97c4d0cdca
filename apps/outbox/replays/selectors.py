"""Reading replays: the list, one with its progress, its items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from django.db.models import Count
from django.utils.translation import gettext as _

from apps.core.clock import now
from apps.core.errors import Invalid, NotFound
from apps.core.pagination import Page, page_by_id
from apps.outbox.gates import Gate, gates
from apps.outbox.models import Cause, Replay, ReplayItem
from apps.outbox.replays.progress import ENDED_STATES, RUNNING_STATES, failed_percent, settled, waiting

# A list does not need what may be a megabyte each.
BULKY: Final = ("payload", "json", "body_template", "body_data", "headers")
NOW_S: Final = 10.0
TREND_S: Final = 5.0
TRENDS: Final = 12
LEGAL: Final = {
    "preparing": ("cancel",),
    "canary": ("pause", "cancel"),
    "running": ("pause", "cancel"),
    "paused": ("resume", "cancel"),
    "stopped": ("resume", "cancel"),
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay is. ``per_second`` is what ended per second so far, ``now_per_second`` over the last 10 s,
    ``trend`` in each 5 s of the last minute. ``seconds_left`` is an estimate (None when unknown or ended),
    ``waits_for`` what holds it back now, ``actions`` what may be done to it.
    """

    replay: Replay
    waiting: int
    done_percent: float
    failed_percent: float
    per_second: float
    seconds_left: float | None
    waits_for: list[str]
    actions: tuple[str, ...]
    now_per_second: float = 0.0
    trend: tuple[int, ...] = ()


def get_replay(replay_id: int) -> Replay:
    """Raises :class:`NotFound`."""
    replay = Replay.objects.filter(pk=replay_id).first()
    if replay is None:
        raise NotFound(_("There is no replay {id}.").format(id=replay_id))
    return replay


def progress(replay: Replay, doors: Callable[[Sequence[str]], Mapping[str, Gate]] = gates) -> Progress:
    """How far ``replay`` is, by its counters: they are at most one tick old. ``doors`` finds the gates of services,
    for who has looked at breakers already.
    """
    left = waiting(replay)
    ended = settled(replay) + replay.skipped
    seconds = ((replay.finished_at or now()) - replay.created_at).total_seconds()
    rate = settled(replay) / seconds if seconds > 0 else 0.0
    going = replay.state in RUNNING_STATES
    remaining = left + replay.released
    rate_now = _rate_now(replay) if going else 0.0
    expected = rate_now or rate
    return Progress(
        replay=replay,
        waiting=left,
        done_percent=100 * ended / replay.total if replay.total else 100.0,
        failed_percent=failed_percent(replay),
        per_second=rate,
        seconds_left=remaining / expected if going and expected else None,
        waits_for=_waits_for(replay, doors) if going and remaining else [],
        actions=LEGAL.get(replay.state, ()),
        now_per_second=rate_now,
        trend=_trend(replay),
    )


def _rate_now(replay: Replay) -> float:
    """Over the last NOW_S, by the samples that steps leave behind."""
    if not replay.pace:
        return 0.0
    at, count = replay.pace[-1]
    since, before = next((sample for sample in replay.pace if at - sample[0] <= NOW_S), replay.pace[-1])
    stale = now().timestamp() - at > NOW_S
    return (count - before) / (at - since) if at > since and not stale else 0.0


def _trend(replay: Replay) -> tuple[int, ...]:
    """What settled in each TREND_S of the last minute, by the samples."""
    if len(replay.pace) < 2:
        return ()
    end = replay.pace[-1][0]
    edges = [end - TREND_S * step for step in range(TRENDS, -1, -1)]
    counts = [max((count for at, count in replay.pace if at <= edge), default=replay.pace[0][1]) for edge in edges]
    return tuple(int(later - earlier) for earlier, later in pairwise(counts))


@dataclass(frozen=True, slots=True)
class Failures:
    """How many letters of a replay died again of one cause."""

    cause: Cause | None
    fingerprint: str
    letters: int


def failures(replay_id: int) -> list[Failures]:
    """What the letters of a replay died of again, the largest group first."""
    failed = ReplayItem.objects.filter(replay_id=replay_id, state=ReplayItem.State.FAILED)
    counted = failed.order_by().values_list("cause").annotate(letters=Count("id")).order_by("-letters", "cause")
    rows = list(counted[:20])
    known = Cause.objects.in_bulk([fingerprint for fingerprint, _letters in rows])
    return [Failures(known.get(fingerprint), fingerprint, letters) for fingerprint, letters in rows]


def skipped(replay_id: int) -> dict[str, int]:
    """Why letters of a replay were left out on the way, the most frequent reason first."""
    left = ReplayItem.objects.filter(replay_id=replay_id, state=ReplayItem.State.SKIPPED)
    return dict(left.order_by().values_list("note").annotate(letters=Count("id")).order_by("-letters", "note")[:20])


def _waits_for(replay: Replay, doors: Callable[[Sequence[str]], Mapping[str, Gate]]) -> list[str]:
    found = doors(replay.selection.get("services", []))
    return [str(gate) for gate in found.values() if gate.shut or gate.probing]


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
        raise Invalid.field("state", _("must be one of {words}").format(words=", ".join(ReplayItem.State.values)))
    items = ReplayItem.objects.filter(replay_id=replay_id).select_related("dead_letter", "message")
    items = items.defer(*(f"message__{name}" for name in BULKY))
    return page_by_id(items.filter(state=state) if state else items, cursor=cursor, limit=limit)
