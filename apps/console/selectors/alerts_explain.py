"""Why somebody was told of an alert, or was not: the post, the route, the way, the time, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from apps.alerts.models import AlertDelivery, AlertLog, Episode, Escalation, Maintenance, Notification
from apps.alerts.selectors import find_episode
from apps.alerts.shown import visible_line
from apps.alerts.telling import PAGE
from apps.console.marks import ATTEMPT, Mark
from apps.console.selectors.alerts import escalation_of
from apps.console.selectors.alerts_ladder import lateness, mark_of, shown_recipient
from apps.console.selectors.alerts_page import message_states
from apps.core.errors import NotFound
from apps.outbox.models import Attempt, Message


@dataclass(frozen=True, slots=True)
class Explained:
    episode: Episode
    running: Escalation
    note: Notification
    recipient: str
    mark: Mark
    late: str
    match: list[tuple[str, str]]
    target: list[tuple[str, str]]
    after: int | None
    unless: str
    delivery: AlertDelivery | None
    line: AlertLog | None
    message: Message | None
    attempts: list[tuple[Attempt, Mark]]
    also: list[tuple[Notification, Mark]]
    maintenance: Maintenance | None


def explain(episode_id: int, notification_id: int) -> Explained:
    """Raises :class:`NotFound`."""
    episode = find_episode(episode_id)
    running = escalation_of(episode)
    rows = Notification.objects.select_related("storm").filter(pk=notification_id, escalation=running)
    note = rows.first() if running is not None and notification_id < 2**63 else None
    if note is None or running is None:
        raise NotFound(_("The alert {id} has no notification {number}.").format(id=episode_id, number=notification_id))
    message = Message.objects.filter(pk=note.message_id).first() if note.message_id else None
    attempts = list(Attempt.objects.filter(message=message).order_by("number", "id")[:50]) if message else []
    also = list(Notification.objects.filter(escalation=running).exclude(pk=note.pk).order_by("-id")[:20])
    states = message_states([note, *also])
    steps = running.policy["route"]["steps"]
    step = steps[note.step] if note.kind == PAGE and note.step < len(steps) else None
    delivery, line = _origin(note, episode)
    return Explained(
        episode=episode,
        running=running,
        note=note,
        recipient=shown_recipient(note.recipient),
        mark=mark_of(note, states),
        late=lateness(note),
        match=matched(note.why.get("match", running.policy["route"]["match"])),
        target=matched({k: v for k, v in (note.why.get("target") or {}).items() if v}),
        after=step["after"] if step else None,
        unless=step.get("unless", "resolved") if step else "",
        delivery=delivery,
        line=line,
        message=message,
        attempts=[(attempt, ATTEMPT.get(attempt.outcome, Mark("unknown", attempt.outcome))) for attempt in attempts],
        also=[(other, mark_of(other, states)) for other in also],
        maintenance=running.held_by,
    )


def matched(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A match as it is read: ``severity`` is ``critical``."""

    def words(value: Any) -> str:
        texts: Sequence[Any] = value if isinstance(value, list) else [value]
        return ", ".join(visible_line(str(text), 200) for text in texts)

    return [(visible_line(str(name), 100), words(value)) for name, value in given.items()]


def _origin(note: Notification, episode: Episode) -> tuple[AlertDelivery | None, AlertLog | None]:
    """The post that led to it, without its body, and what was made of this alert in it."""
    number = note.why.get("delivery")
    delivery = AlertDelivery.objects.defer("body").filter(pk=number).first() if isinstance(number, int) else None
    if delivery is None:
        return None, None
    return delivery, AlertLog.objects.filter(delivery=delivery, episode=episode).order_by("-id").first()
