"""Telling the targets of a step: rows that say what was decided, and messages in the outbox."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db.models import Max

from apps.alerts.models import AlertLog, Episode, EpisodeEvent, Escalation, Notification, NotificationOutcome, Storm
from apps.alerts.notices import Notice, composed, named, thread_of
from apps.alerts.reaching import Directory, Way
from apps.alerts.routing import Step, Target
from apps.core.errors import PortalError
from apps.outbox.models import Attempt
from apps.outbox.services import enqueue

PRIORITY: Final = 9
PAGE: Final = "page"
# Somebody else, because a page did not arrive.
INSTEAD: Final = "instead"
RESOLVED: Final = "resolved"
ACKNOWLEDGED: Final = "acknowledged"
# Who keep a state of their own that must follow ours.
KEEP_STATE: Final = ("pagerduty",)
HEAR_OF_ACKNOWLEDGEMENTS: Final = ("pagerduty", "slack")


@dataclass(frozen=True, slots=True)
class Telling:
    """What one step of one policy needs. ``beat``: when the sweep last ran, which is all the engine can be late by."""

    step: Step
    targets: Mapping[str, Target]
    owners: Mapping[str, str]
    directory: Directory
    now: datetime
    beat: datetime | None = None


Gather = Callable[[Sequence[Escalation], datetime], Storm | None]


def tell_step(rows: Sequence[Escalation], telling: Telling, gather: Gather) -> set[int]:
    """Tell every target of the step about ``rows``, which share policy and step; ``gather`` says whether they are
    too many to be told one by one.

    Returns the ids of the rows for which nobody could be told; what was decided and why is kept for each.
    """
    skipped = {row.pk: why for row in rows if (why := _why_not(row.episode, telling.step, telling.now))}
    notes = [
        note_of(row, PAGE, target, telling.now, outcome=NotificationOutcome.SKIPPED, why={"skipped": skipped[row.pk]})
        for row in rows
        if row.pk in skipped
        for target in telling.step.notify
    ]
    needed = [row for row in rows if row.pk not in skipped]
    storm = gather(needed, telling.now) if needed else None
    reasons = Reasons(needed)
    for target in telling.step.notify:
        for row in needed:
            way = telling.directory.way(target, telling.targets, telling.owners, row.episode)
            if storm is None:
                notes += told([row], PAGE, target, way, telling.now, reasons, telling.beat)
            else:
                notes.append(_gathered(row, target, way, telling, reasons, storm))
    Notification.objects.bulk_create(notes, batch_size=500)
    reached = {note.escalation_id for note in notes if note.outcome != NotificationOutcome.IMPOSSIBLE}
    return {row.pk for row in rows} - reached


def _gathered(row: Escalation, target: str, way: Way, telling: Telling, reasons: Reasons, storm: Storm) -> Notification:
    """A row that the message of a storm will speak of; :mod:`apps.alerts.storming` sends it."""
    outcome = NotificationOutcome.IMPOSSIBLE if way.problem else NotificationOutcome.QUEUED
    why = reasons.of(row, target, way.problem)
    return note_of(row, PAGE, target, telling.now, way=way, outcome=outcome, why=why, storm=storm, beat=telling.beat)


def _why_not(episode: Episode, step: Step, now: datetime) -> str:
    """Why a page is not needed; empty when it is."""
    if step.unless == "acknowledged" and is_acknowledged(episode, now):
        return f"acknowledged by {episode.acknowledged_by} at {episode.acknowledged_at:%Y-%m-%d %H:%M:%S} UTC"
    return ""


def is_acknowledged(episode: Episode, now: datetime) -> bool:
    if episode.acknowledged_at is None:
        return False
    return episode.acknowledged_until is None or episode.acknowledged_until > now


def tell_resolved(rows: Sequence[Escalation], directory: Directory, now: datetime) -> None:
    """Whoever was told of an alert by itself is told that it is over, the same way. The end of a storm is told by
    :mod:`apps.alerts.storming`; that of a lesser alert of a condition only to those who keep a state of it.
    """
    notes: list[Notification] = []
    by_row = _told_by_itself(rows)
    for row in rows:
        if row.policy["route"]["tell_resolved"]:
            for target, note in sorted(by_row[row.pk].items()):
                way = Way(note.service, note.recipient, directory.channels.get(note.service, ""))
                if row.episode.outranked_by_id is None or way.channel in KEEP_STATE:
                    notes += told([row], RESOLVED, target, way, now)
    Notification.objects.bulk_create(notes, batch_size=500)


def tell_acknowledged(row: Escalation, who: str, now: datetime) -> None:
    """PagerDuty, which would escalate on its own, and the thread in Slack; once for each cycle."""
    if not row.policy["route"].get("tell_acknowledged", True):
        return
    done = set(row.notifications.filter(kind=ACKNOWLEDGED, cycle=row.cycle).values_list("target", flat=True))
    directory, notes = Directory(now), []
    for target, note in sorted(_told_by_itself([row])[row.pk].items()):
        way = Way(note.service, note.recipient, directory.channels.get(note.service, ""))
        if target not in done and way.channel in HEAR_OF_ACKNOWLEDGEMENTS:
            notes += told([row], ACKNOWLEDGED, target, way, now, said=f"Acknowledged by {who}")
    Notification.objects.bulk_create(notes)


def _told_by_itself(rows: Sequence[Escalation]) -> dict[int, dict[str, Notification]]:
    """The newest page to each target that spoke of one alert only."""
    queued = Notification.objects.filter(kind__in=(PAGE, INSTEAD), outcome=NotificationOutcome.QUEUED, together=1)
    by_row: dict[int, dict[str, Notification]] = defaultdict(dict)
    for note in queued.filter(escalation__in=rows, storm__isnull=True):
        by_row[note.escalation_id][note.target] = note
    return by_row


class Reasons:
    """What led to a notification, for "explain this page"; looked up for many rows at once."""

    def __init__(self, rows: Sequence[Escalation] = ()) -> None:
        ids = [row.episode_id for row in rows]
        self._deliveries = _newest_deliveries(ids)
        self._held = _held_of(ids)

    def of(self, row: Escalation, target: str, problem: str) -> dict[str, Any]:
        why: dict[str, Any] = {
            "route": row.route,
            "match": row.policy["route"]["match"],
            "target": row.policy["targets"].get(target, {}),
            "delivery": self._deliveries.get(row.episode_id),
        }
        held = self._held.get(row.episode_id)
        if held is not None and row.next_at is not None and held.at >= row.next_at:
            why["held"] = {**held.detail, "reason": held.text, "at": held.at.isoformat()}
        return {**why, "problem": problem} if problem else why


def _newest_deliveries(ids: Sequence[int]) -> dict[int, int]:
    """The newest delivery that spoke of each episode."""
    found: dict[int, int] = {}
    for start in range(0, len(ids), 500):
        lines = AlertLog.objects.filter(episode__in=ids[start : start + 500], delivery__isnull=False)
        found |= dict(lines.values_list("episode").annotate(newest=Max("delivery")).order_by())
    return found


def _held_of(ids: Sequence[int]) -> dict[int, EpisodeEvent]:
    """The last time each was held by a maintenance window."""
    found: dict[int, EpisodeEvent] = {}
    for start in range(0, len(ids), 500):
        held = EpisodeEvent.objects.filter(kind="held", episode__in=ids[start : start + 500])
        found |= {event.episode_id: event for event in held.order_by("pk")}
    return found


def told(
    group: Sequence[Escalation],
    kind: str,
    target: str,
    way: Way,
    now: datetime,
    reasons: Reasons | None = None,
    beat: datetime | None = None,
    said: str = "",
) -> list[Notification]:
    """One message about all of ``group``, and an unsaved row for each of it."""
    problem, message_id = way.problem, None
    if not problem:
        try:
            message_id = send(way, _notice(group[0], kind, way, said) if len(group) == 1 else _several(group))
        except PortalError as error:
            problem = error.message
    outcome = NotificationOutcome.IMPOSSIBLE if problem else NotificationOutcome.QUEUED
    given = reasons or Reasons()
    return [
        note_of(
            row,
            kind,
            target,
            now,
            way=way,
            outcome=outcome,
            why=given.of(row, target, problem),
            message_id=message_id,
            together=len(group),
            beat=beat,
        )
        for row in group
    ]


def send(way: Way, notice: Notice) -> int:
    """Into the outbox, in the caller's transaction. Raises PortalError when the outbox would not take it."""
    accepted = enqueue(
        service=way.service,
        recipient=way.recipient,
        priority=PRIORITY,
        ordering_key=notice.key,
        source="alerts",
        **composed(way.channel, notice),
    )
    return accepted.message_id


def key_of(episode: Episode) -> str:
    """PagerDuty's dedup_key and the ordering key: one for everything about an episode."""
    return f"opsportal-episode-{episode.pk}"


def url_of(path: str) -> str:
    """The address of a page of ours for people who read a message; empty where nobody said how we are reached."""
    return f"{settings.PUBLIC_URL}{path}" if settings.PUBLIC_URL else ""


def _notice(row: Escalation, kind: str, way: Way, said: str) -> Notice:
    episode = row.episode
    return Notice(
        kind=kind,
        key=key_of(episode),
        title=episode.annotations.get("summary") or episode.name,
        severity=episode.severity,
        source=episode.source_id,
        url=url_of(f"/alerts/{episode.pk}"),
        text=said or episode.annotations.get("description", ""),
        labels=episode.labels,
        began=episode.first_seen_at,
        step=step_words(row) if kind in (PAGE, INSTEAD) else "",
        thread=_thread(row, way) if way.channel == "slack" else "",
    )


def step_words(row: Escalation) -> str:
    steps = row.policy["route"]["steps"]
    return f"step {row.step + 1} of {len(steps)} of the route {row.route}" if row.step < len(steps) else ""


def _thread(row: Escalation, way: Way) -> str:
    """What Slack called the first message about this episode to the same channel."""
    by_itself = row.notifications.filter(storm__isnull=True, together=1)
    first = by_itself.filter(service=way.service, recipient=way.recipient, message_id__isnull=False).first()
    return thread_in(first.message_id) if first is not None else ""


def thread_in(message_id: int | None) -> str:
    if message_id is None:
        return ""
    attempt = Attempt.objects.filter(message_id=message_id, outcome="sent").order_by("-number").first()
    return thread_of(attempt.response) if attempt else ""


def _several(group: Sequence[Escalation]) -> Notice:
    first = group[0]
    return Notice(
        kind="storm",
        key=f"opsportal-several-{first.pk}-{first.cycle}-{first.step}",
        title=f"{len(group)} alerts of the route {first.route} at once",
        severity=first.episode.severity,
        source="opsportal",
        url=url_of("/alerts"),
        names=named(Counter(row.episode.name for row in group)),
        began=min(row.episode.first_seen_at for row in group),
        step=step_words(first),
    )


def note_of(
    row: Escalation,
    kind: str,
    target: str,
    now: datetime,
    *,
    outcome: str,
    why: dict[str, Any],
    way: Way | None = None,
    message_id: int | None = None,
    together: int = 1,
    storm: Storm | None = None,
    beat: datetime | None = None,
) -> Notification:
    planned = (row.next_at or now) if kind == PAGE else now
    return Notification(
        escalation=row,
        cycle=row.cycle,
        step=row.step,
        kind=kind,
        target=target,
        service=way.service if way else "",
        recipient=way.recipient if way else "",
        outcome=outcome,
        message_id=message_id,
        planned_at=planned,
        decided_at=now,
        together=together,
        storm=storm,
        late_s=late_by(planned, now, beat),
        why=why,
    )


def late_by(planned: datetime, now: datetime, beat: datetime | None) -> int:
    """Whole seconds the engine was late: since it was due, but not longer than no sweep ran. Pure."""
    if beat is None:
        return 0
    return max(0, int(min(now - planned, now - beat).total_seconds()))
