"""What needs a person, most urgent first, and which workers are at work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.breakers.selectors import BreakerSnapshot, WorkerView
from apps.console.selectors.board import WORST_FIRST, Tile
from apps.console.selectors.letters import cause_label
from apps.console.selectors.vitals import Vitals
from apps.core import human
from apps.core.clock import now
from apps.outbox.models import Replay
from apps.outbox.selectors import CauseSummary

SHOWN_CAUSES: Final = 3
SHOWN_EPOCHS: Final = 2
STUCK_S: Final = 60


@dataclass(frozen=True, slots=True)
class Need:
    """``since`` and ``when`` go before the button, ``until`` is counted down to; ``dialog`` opens without leaving the
    page.
    """

    tone: str
    title: str
    text: str
    href: str
    button: str
    since: datetime | None = None
    when: str = ""
    dialog: str = ""
    until: datetime | None = None


def needs(
    tiles: Sequence[Tile],
    causes: Sequence[CauseSummary],
    replays: Sequence[Replay],
    vitals: Vitals,
    *,
    may_replay: bool,
    alerts: Sequence[Need] = (),
) -> list[Need]:
    """No worker, alerts that are nobody's, open breakers, deliveries that stand still, pauses and overrides, stopped
    replays, dead letters.
    """
    found = [*_no_worker(tiles, vitals), *alerts, *(need for tile in tiles for need in _of_service(tile))]
    found += [_stopped(replay) for replay in replays if replay.state == "stopped"]
    open_now = {tile.service.name for tile in tiles if tile.state in ("OPEN", "FORCED_OPEN", "HALF_OPEN")}
    found += [_cause(cause, open_now, may_replay) for cause in causes[:SHOWN_CAUSES]]
    order = {"bad": 0, "warning": 1, "unknown": 2}
    return sorted(found, key=lambda need: order.get(need.tone, 3))


def _no_worker(tiles: Sequence[Tile], vitals: Vitals) -> list[Need]:
    waiting = sum(tile.waiting for tile in tiles)
    if vitals.workers or not waiting:
        return []
    text = _("{waiting}, and no worker was heard of in the last minute.").format(waiting=waiting_words(waiting))
    return [Need("bad", _("Nothing is delivered: no worker runs"), text, "#workers", _("Look"))]


def waiting_words(count: int) -> str:
    """``1,204 messages wait``."""
    return ngettext("{shown} message waits", "{shown} messages wait", count).format(shown=human.number(count))


def _of_service(tile: Tile) -> list[Need]:
    name = tile.service.name
    url = reverse("service", args=[name])
    waiting = waiting_words(tile.waiting)
    found = []
    if tile.state == "OPEN" and tile.snapshot is not None:
        title = _("{name} stopped answering").format(name=name)
        found.append(Need("bad", title, waiting, url, _("Look"), tile.snapshot.opened_at))
    if tile.mark.locked and tile.snapshot is not None:
        found.append(_overridden(tile, tile.snapshot, url, waiting))
    if tile.service.paused_at is not None:
        title = _("{name} is paused by {by}").format(name=name, by=tile.service.paused_by or _("someone"))
        text = f"“{tile.service.paused_reason}” · {waiting}"
        found.append(Need("unknown", title, text, url, _("Look"), tile.service.paused_at))
    elif tile.state == "CLOSED" and tile.slowed_until is None and _stands_still(tile):
        text = _("{waiting}, although its breaker is closed. Does a delivery worker run?").format(waiting=waiting)
        title = _("Nothing leaves to {name}").format(name=name)
        found.append(Need("bad", title, text, url, _("Look"), tile.backlog.oldest_waiting_at))
    return found


def _overridden(tile: Tile, breaker: BreakerSnapshot, url: str, waiting: str) -> Need:
    titles = {
        "FORCED_OPEN": _("{name} is held open by {by}"),
        "FORCED_CLOSED": _("{name} is held closed by {by}"),
        "METRICS_ONLY": _("{name} only counts, by {by}"),
    }
    title = titles[tile.state].format(name=tile.service.name, by=breaker.override_by or _("someone"))
    text = f"“{breaker.override_reason}” · {waiting}" if breaker.override_reason else waiting
    return Need("warning", title, text, url, _("Look"))


def _stands_still(tile: Tile) -> bool:
    oldest = tile.backlog.oldest_waiting_at
    if oldest is None or (now() - oldest).total_seconds() < STUCK_S:
        return False
    return not any(point.sent or point.failed for point in tile.history.series[-2:])


def _stopped(replay: Replay) -> Need:
    ended = replay.sent + replay.failed
    text = _("{failed} of {ended} failed again").format(failed=human.number(replay.failed), ended=human.number(ended))
    title = _("Replay {number} stopped by itself").format(number=replay.pk)
    return Need("warning", title, text, reverse("replay", args=[replay.pk]), _("Decide"), replay.created_at)


def _cause(cause: CauseSummary, open_now: set[str], may_replay: bool) -> Need:
    title = ngettext("{shown} dead letter", "{shown} dead letters share one cause", cause.letters)
    label = cause_label(cause.service, cause.error_class, cause.status_code)
    tenants = f" · {human.plural(cause.tenants, 'tenant')}" if cause.tenants > 1 else ""
    waits = _("a replay waits until {name} closes").format(name=cause.service)
    return Need(
        "warning",
        title.format(shown=human.number(cause.letters)),
        f"{label}{tenants}",
        reverse("cause", args=[cause.fingerprint]),
        _("Plan replay") if may_replay else _("Look"),
        when=waits if cause.service in open_now else "",
        dialog=f"{reverse('replay-new')}?cause={cause.fingerprint}" if may_replay else "",
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """The epoch of one breaker that a worker acts upon, and by how many it is behind."""

    service: str
    epoch: int
    behind: int


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One process and the epochs it has seen: what it is behind on first, then what is not well, then the rest."""

    view: WorkerView
    seen: tuple[Seen, ...]

    @property
    def behind(self) -> tuple[Seen, ...]:
        return tuple(item for item in self.seen if item.behind)

    @property
    def shown(self) -> tuple[Seen, ...]:
        return self.seen[: max(SHOWN_EPOCHS, len(self.behind))]

    @property
    def more(self) -> int:
        return len(self.seen) - len(self.shown)

    @property
    def all_epochs(self) -> str:
        """For whoever points at it."""
        return ", ".join(f"{item.service} {item.epoch}" for item in self.seen)

    @property
    def up_to_date(self) -> bool:
        return not self.behind and not self.view.behind


def worker_rows(vitals: Vitals) -> list[WorkerRow]:
    """Processes that were heard of in the last minute."""
    return [WorkerRow(view, _seen(view, vitals.breakers)) for view in vitals.workers]


def _seen(view: WorkerView, breakers: Mapping[str, BreakerSnapshot]) -> tuple[Seen, ...]:
    found = [
        Seen(name, epoch, max(0, breakers[name].epoch - epoch)) for name, epoch in view.seen.items() if name in breakers
    ]
    return tuple(
        sorted(
            found,
            key=lambda item: (not item.behind, WORST_FIRST.index(str(breakers[item.service].state)), item.service),
        )
    )
