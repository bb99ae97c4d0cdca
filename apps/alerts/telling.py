"""Telling the targets of a step: rows that say what was decided, and messages in the outbox."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Max

from apps.alerts.models import AlertLog, Episode, Escalation, Notification, NotificationOutcome
from apps.alerts.notices import Notice, composed, one_line, thread_of
from apps.alerts.reaching import Directory, Way
from apps.alerts.routing import Step, Target
from apps.core.errors import PortalError
from apps.outbox.models import Attempt
from apps.outbox.services import enqueue

PRIORITY: Final = 9
NAMED: Final = 10
PAGE: Final = "page"
RESOLVED: Final = "resolved"


@dataclass(frozen=True, slots=True)
class Telling:
    """What one step of one policy needs."""

    step: Step
    targets: Mapping[str, Target]
    owners: Mapping[str, str]
    directory: Directory
    now: datetime


def tell_step(rows: Sequence[Escalation], telling: Telling, *, together: bool) -> set[int]:
    """Tell every target of the step about ``rows``, which share policy and step.

    Returns the ids of the rows for which nobody could be told; what was decided and why is kept for each.
    """
    skipped = {row.pk: why for row in rows if (why := _why_not(row.episode, telling.step, telling.now))}
    notes = [
        _note(row, PAGE, target, telling.now, outcome=NotificationOutcome.SKIPPED, why={"skipped": skipped[row.pk]})
        for row in rows
        if row.pk in skipped
        for target in telling.step.notify
    ]
    needed = [row for row in rows if row.pk not in skipped]
    origins = _origins(needed)
    for group in [needed] if together and needed else [[row] for row in needed]:
        for target in telling.step.notify:
            way = telling.directory.way(target, telling.targets, telling.owners, group[0].episode)
            notes += _told(group, PAGE, target, way, telling.now, origins)
    Notification.objects.bulk_create(notes, batch_size=500)
    reached = {note.escalation_id for note in notes if note.outcome != NotificationOutcome.IMPOSSIBLE}
    return {row.pk for row in rows} - reached


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
    """Whoever was told of an alert by itself is told that it is over, the same way; a storm's end is not paged."""
    notes: list[Notification] = []
    told = Notification.objects.filter(kind=PAGE, outcome=NotificationOutcome.QUEUED, together=1, escalation__in=rows)
    by_row: dict[int, dict[str, Notification]] = defaultdict(dict)
    for note in told:
        by_row[note.escalation_id][note.target] = note
    for row in rows:
        if row.policy["route"]["tell_resolved"]:
            for target, note in sorted(by_row[row.pk].items()):
                way = Way(note.service, note.recipient, directory.channels.get(note.service, ""))
                notes += _told([row], RESOLVED, target, way, now, {})
    Notification.objects.bulk_create(notes, batch_size=500)


def _told(
    group: Sequence[Escalation], kind: str, target: str, way: Way, now: datetime, origins: Mapping[int, int]
) -> list[Notification]:
    """One message about all of ``group``, and a row for each of it."""
    problem, message_id = way.problem, None
    if not problem:
        try:
            message_id = _send(group, kind, way)
        except PortalError as error:
            problem = error.message
    outcome = NotificationOutcome.IMPOSSIBLE if problem else NotificationOutcome.QUEUED
    return [
        _note(
            row,
            kind,
            target,
            now,
            way=way,
            outcome=outcome,
            why=_why(row, target, problem, origins.get(row.episode_id)),
            message_id=message_id,
            together=len(group),
        )
        for row in group
    ]


def _send(group: Sequence[Escalation], kind: str, way: Way) -> int:
    notice = _notice(group[0], kind, way) if len(group) == 1 else _storm(group, way)
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


def _notice(row: Escalation, kind: str, way: Way) -> Notice:
    episode = row.episode
    return Notice(
        kind=kind,
        key=key_of(episode),
        title=episode.annotations.get("summary") or episode.name,
        severity=episode.severity,
        source=episode.source_id,
        text=episode.annotations.get("description", ""),
        labels=episode.labels,
        began=episode.first_seen_at,
        step=_step_words(row),
        thread=_thread(row, way) if way.channel == "slack" else "",
    )


def _step_words(row: Escalation) -> str:
    steps = row.policy["route"]["steps"]
    return f"step {row.step + 1} of {len(steps)} of the route {row.route}" if row.step < len(steps) else ""


def _thread(row: Escalation, way: Way) -> str:
    """What Slack called the first message about this episode to the same channel."""
    first = row.notifications.filter(service=way.service, recipient=way.recipient, message_id__isnull=False).first()
    if first is None or first.message_id is None:
        return ""
    attempt = Attempt.objects.filter(message_id=first.message_id, outcome="sent").order_by("-number").first()
    return thread_of(attempt.response) if attempt else ""


def _storm(group: Sequence[Escalation], way: Way) -> Notice:
    first = group[0]
    counts = Counter(one_line(row.episode.name, 200) for row in group).most_common()
    rest = sum(count for _, count in counts[NAMED:])
    names = [*counts[:NAMED], *([("others", rest)] if rest else [])]
    return Notice(
        kind="storm",
        key=f"opsportal-storm-{first.pk}-{first.step}",
        title=f"{len(group)} alerts of the route {first.route} at once",
        severity=first.episode.severity,
        source="opsportal",
        names=names,
        began=min(row.episode.first_seen_at for row in group),
        step=_step_words(first),
    )


def _origins(rows: Sequence[Escalation]) -> dict[int, int]:
    """The newest delivery that spoke of each episode."""
    ids = [row.episode_id for row in rows]
    found: dict[int, int] = {}
    for start in range(0, len(ids), 500):
        lines = AlertLog.objects.filter(episode__in=ids[start : start + 500], delivery__isnull=False)
        found |= dict(lines.values_list("episode").annotate(newest=Max("delivery")).order_by())
    return found


def _why(row: Escalation, target: str, problem: str, delivery: int | None) -> dict[str, Any]:
    """What led to this, for "explain this page"."""
    why: dict[str, Any] = {
        "route": row.route,
        "match": row.policy["route"]["match"],
        "target": row.policy["targets"][target],
        "delivery": delivery,
    }
    return {**why, "problem": problem} if problem else why


def _note(
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
) -> Notification:
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
        planned_at=(row.next_at or now) if kind == PAGE else now,
        decided_at=now,
        together=together,
        why=why,
    )
