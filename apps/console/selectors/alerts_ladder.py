"""The escalation of one alert as a ladder: what was taken, what is next and when, who exactly is reached, and how."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.alerts.episodes import OPEN_STATES
from apps.alerts.models import Episode, Escalation, Notification, NotificationOutcome
from apps.alerts.policies import thawed
from apps.alerts.reaching import Directory, Way
from apps.alerts.shown import visible_line
from apps.alerts.telling import INSTEAD, PAGE, is_acknowledged
from apps.console.marks import MESSAGE, Mark
from apps.console.selectors.alerts import Ahead, planned_at
from apps.core import human
from apps.core.masking import mask_recipient

OUTCOME: Final[Mapping[str, Mark]] = {
    NotificationOutcome.QUEUED: Mark("info", gettext_lazy("In the outbox")),
    NotificationOutcome.SKIPPED: Mark("unknown", gettext_lazy("Not needed")),
    NotificationOutcome.IMPOSSIBLE: Mark("bad", gettext_lazy("Nobody reached")),
}


@dataclass(frozen=True, slots=True)
class Told:
    """One target of a step: who and through which service; of a step that was taken also what became of it."""

    target: str
    who: str
    service: str
    problem: str = ""
    note: Notification | None = None
    mark: Mark | None = None
    late: str = ""


@dataclass(frozen=True, slots=True)
class Rung:
    """``stage`` is taken, skipped, next or later. ``at`` is when it is due, or was decided."""

    number: int
    stage: str
    at: datetime | None
    after: str
    condition: str
    targets: list[Told]
    hold: str = ""


def ladder(
    episode: Episode,
    running: Escalation | None,
    notes: Sequence[Notification],
    messages: Mapping[int, str],
    ahead: Ahead | None,
    now: datetime,
) -> list[Rung]:
    """The steps of the cycle that runs, or ran last. ``messages`` are the states of messages by their ids."""
    if running is None:
        return []
    by_step: dict[int, list[Notification]] = defaultdict(list)
    for note in notes:
        if note.kind in (PAGE, INSTEAD) and note.cycle == running.cycle:
            by_step[note.step].append(note)
    directory = Directory(now) if running.step < len(running.policy["route"]["steps"]) and ahead else None
    return [
        _rung(number, step, episode, running, by_step[number], messages, ahead, directory, now)
        for number, step in enumerate(running.policy["route"]["steps"])
    ]


def _rung(
    number: int,
    step: dict[str, Any],
    episode: Episode,
    running: Escalation,
    notes: Sequence[Notification],
    messages: Mapping[int, str],
    ahead: Ahead | None,
    directory: Directory | None,
    now: datetime,
) -> Rung:
    after = human.span(step["after"]) if step["after"] else _("at once")
    needs_ack = step.get("unless") == "acknowledged"
    condition = _("unless somebody acknowledges it") if needs_ack else _("unless it is over")
    if notes:
        return Rung(number + 1, "taken", notes[0].decided_at, after, condition, [told(n, messages) for n in notes])
    if number < running.step or episode.state not in OPEN_STATES or directory is None:
        return Rung(number + 1, "skipped", None, after, condition, _named(step, episode, running, None))
    targets = _named(step, episode, running, directory)
    if needs_ack and is_acknowledged(episode, now):
        who = visible_line(episode.acknowledged_by, 100)
        skipped = _("not taken while {who} has acknowledged it").format(who=who)
        return Rung(number + 1, "later", planned_at(running, number), after, condition, targets, skipped)
    is_next = ahead is not None and ahead.step == number + 1
    at = ahead.at if is_next and ahead is not None else planned_at(running, number)
    hold = ahead.hold if is_next and ahead is not None else ""
    return Rung(number + 1, "next" if is_next else "later", at, after, condition, targets, hold)


def _named(step: dict[str, Any], episode: Episode, running: Escalation, directory: Directory | None) -> list[Told]:
    if directory is None:
        return [Told(visible_line(name, 64), "", "") for name in step["notify"]]
    _route, targets, owners = thawed(running.policy)
    ways = [(name, directory.way(name, targets, owners, episode)) for name in step["notify"]]
    return [Told(visible_line(name, 64), who_of(way), way.service, way.problem) for name, way in ways]


def who_of(way: Way) -> str:
    return shown_recipient(way.recipient)


def shown_recipient(recipient: str) -> str:
    """Channels and colleagues by name; numbers and addresses of phones masked."""
    text = visible_line(recipient, 200)
    return text if text.startswith("#") or "@" in text else mask_recipient(text)


def told(note: Notification, messages: Mapping[int, str]) -> Told:
    return Told(
        visible_line(note.target, 64),
        shown_recipient(note.recipient),
        note.service,
        visible_line(str(note.why.get("problem", "") or note.why.get("skipped", "")), 500),
        note,
        mark_of(note, messages),
        lateness(note),
    )


def mark_of(note: Notification, messages: Mapping[int, str]) -> Mark:
    """What became of its message; what was decided when there is none."""
    status = messages.get(note.message_id or 0, "")
    if note.outcome == NotificationOutcome.QUEUED and note.message_id and not status:
        return Mark("unknown", _("Message pruned"))
    return MESSAGE[status] if status in MESSAGE else OUTCOME[NotificationOutcome(note.outcome)]


def lateness(note: Notification) -> str:
    """``14 s late``; below ten seconds a sweep is on time."""
    late = note.late_s or 0
    return _("{span} late").format(span=human.span(late)) if late >= 10 else ""
