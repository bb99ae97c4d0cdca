"""What needs a person, most urgent first, and which workers are at work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.urls import reverse

from apps.breakers.selectors import BreakerSnapshot, WorkerView
from apps.console.selectors.board import Tile
from apps.console.selectors.letters import cause_label
from apps.console.selectors.vitals import Vitals
from apps.core import human
from apps.core.clock import now
from apps.outbox.models import Replay
from apps.outbox.selectors import CauseSummary

SHOWN_CAUSES: Final = 3
STUCK_S: Final = 60


@dataclass(frozen=True, slots=True)
class Need:
    """``since`` and ``when`` go before the button; ``dialog`` opens without leaving the page."""

    tone: str
    title: str
    text: str
    href: str
    button: str
    since: datetime | None = None
    when: str = ""
    dialog: str = ""


def needs(
    tiles: Sequence[Tile], causes: Sequence[CauseSummary], replays: Sequence[Replay], *, may_replay: bool
) -> list[Need]:
    """Open breakers, deliveries that stand still, pauses and overrides, stopped replays, dead letters."""
    found = [need for tile in tiles for need in _of_service(tile)]
    found += [_stopped(replay) for replay in replays if replay.state == "stopped"]
    open_now = {tile.service.name for tile in tiles if tile.state in ("OPEN", "FORCED_OPEN", "HALF_OPEN")}
    found += [_cause(cause, open_now, may_replay) for cause in causes[:SHOWN_CAUSES]]
    order = {"bad": 0, "warning": 1, "unknown": 2}
    return sorted(found, key=lambda need: order.get(need.tone, 3))


def _of_service(tile: Tile) -> list[Need]:
    name = tile.service.name
    url = reverse("service", args=[name])
    waiting = f"{human.plural(tile.waiting, 'message')} {'waits' if tile.waiting == 1 else 'wait'}"
    found = []
    if tile.state == "OPEN" and tile.snapshot is not None:
        found.append(Need("bad", f"{name} stopped answering", waiting, url, "Look", tile.snapshot.opened_at))
    if tile.mark.locked and tile.snapshot is not None:
        by, why = tile.snapshot.override_by or "someone", tile.snapshot.override_reason
        title = f"{name} is {tile.mark.label.lower()} by {by}"
        found.append(Need("warning", title, f"“{why}” · {waiting}" if why else waiting, url, "Look"))
    if tile.service.paused_at is not None:
        title = f"{name} is paused by {tile.service.paused_by or 'someone'}"
        found.append(
            Need("unknown", title, f"“{tile.service.paused_reason}” · {waiting}", url, "Look", tile.service.paused_at)
        )
    elif tile.state == "CLOSED" and tile.slowed_until is None and _stands_still(tile):
        text = f"{waiting}, although its breaker is closed. Does a delivery worker run?"
        found.append(Need("bad", f"Nothing leaves to {name}", text, url, "Look", tile.backlog.oldest_waiting_at))
    return found


def _stands_still(tile: Tile) -> bool:
    oldest = tile.backlog.oldest_waiting_at
    if oldest is None or (now() - oldest).total_seconds() < STUCK_S:
        return False
    return not any(point.sent or point.failed for point in tile.history.series[-2:])


def _stopped(replay: Replay) -> Need:
    text = f"{replay.failed:,} of {replay.sent + replay.failed:,} failed again"
    url = reverse("replay", args=[replay.pk])
    return Need("warning", f"Replay {replay.pk} stopped by itself", text, url, "Decide", replay.created_at)


def _cause(cause: CauseSummary, open_now: set[str], may_replay: bool) -> Need:
    title = f"{human.plural(cause.letters, 'dead letter')} share one cause" if cause.letters > 1 else "1 dead letter"
    tenants = f" · {human.plural(cause.tenants, 'tenant')}" if cause.tenants > 1 else ""
    label = cause_label(cause.service, cause.error_class, cause.status_code)
    ready = cause.service not in open_now
    return Need(
        "warning",
        title,
        f"{label}{tenants}",
        reverse("cause", args=[cause.fingerprint]),
        "Plan replay" if may_replay else "Look",
        when="" if ready else f"a replay waits until {cause.service} closes",
        dialog=f"{reverse('replay-new')}?cause={cause.fingerprint}" if may_replay else "",
    )


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One process. ``behind`` names breakers whose newest epoch it has not seen yet."""

    view: WorkerView
    behind: tuple[str, ...]

    @property
    def up_to_date(self) -> bool:
        return not self.behind and not self.view.behind


def worker_rows(vitals: Vitals) -> list[WorkerRow]:
    """Processes that were heard of in the last minute."""
    return [WorkerRow(view, _behind(view, vitals.breakers)) for view in vitals.workers]


def _behind(view: WorkerView, breakers: Mapping[str, BreakerSnapshot]) -> tuple[str, ...]:
    seen = sorted(view.seen.items())
    return tuple(name for name, epoch in seen if name in breakers and epoch != breakers[name].epoch)
