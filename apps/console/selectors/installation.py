"""What an installation is made of: its channels and what it does by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from apps.channels.registry import kinds
from apps.console.marks import Mark
from apps.core import clock
from apps.services.models import Service

CHANNEL_WORDS: Final[dict[str, Any]] = {
    "http": _("Any JSON or webhook endpoint; requests are signed as Standard Webhooks."),
    "email": _("E-mail through an SMTP server."),
    "whatsapp": _("WhatsApp through the Cloud API."),
    "slack": _("Slack, by an incoming webhook or a bot."),
    "telegram": _("Telegram, by a bot."),
    "pagerduty": _("PagerDuty, Events API v2."),
    "plane": _("Plane: one work item for each external id."),
}
TASK_WORDS: Final[dict[str, Any]] = {
    "outbox.deliver": _("Looks for messages that are due, should every nudge be lost."),
    "outbox.sweep": _("Rescues expired leases, expires and releases messages."),
    "outbox.advance_replays": _("Puts the next dead letters of running replays back."),
    "outbox.advance_triage": _("Goes on with assigning, snoozing or discarding many dead letters."),
    "outbox.prune": _("Deletes old delivered messages and closed dead letters in small batches."),
    "breakers.prune": _("Deletes what breakers counted more than two weeks ago."),
    "idempotency.clean": _("Forgets idempotency keys that are past their time."),
    "alerts.process": _("Takes in stored posts of alerts, should every nudge be lost."),
    "alerts.settle": _("Resolves alerts that stayed normal, notices sources that fell silent."),
    "postmortems.remind": _("Reminds owners of action items that are due or overdue."),
    "alerts.silences": _("Has Alertmanager follow the silences that people want."),
    "alerts.prune": _("Deletes old bodies of posts, old log lines, alerts resolved long ago."),
    "incidents.collect": _("Fills the timelines of incidents with what happened since."),
    "incidents.sweep": _("Opens, grows, reopens and ends incidents by their alerts and rules."),
    "postmortems.sweep": _("Drafts what incidents that are over lack, and looks for later facts."),
    "alerts.reconcile": _("Asks each Alertmanager for what its posts never tell."),
    "accounts.clean": _("Forgets sessions and password links that have expired."),
    "audit.check": _("Checks the audit trail: what is new, and every night the whole of it."),
}
LATE: Final = 3  # intervals without a run


@dataclass(frozen=True, slots=True)
class ChannelRow:
    kind: str
    text: Any
    services: list[str]


def channels() -> list[ChannelRow]:
    """Every kind there is, with the services that use it."""
    users: dict[str, list[str]] = {kind: [] for kind in kinds()}
    for name, kind in Service.objects.order_by("name").values_list("name", "channel"):
        users.setdefault(kind, []).append(name)
    return [ChannelRow(kind, CHANNEL_WORDS.get(kind, ""), names) for kind, names in users.items()]


@dataclass(frozen=True, slots=True)
class TaskRow:
    """``every`` in seconds; None when the task follows a calendar."""

    pk: int
    name: str
    text: Any
    every: int | None
    calendar: str
    queue: str
    last_run_at: datetime | None
    runs: int
    mark: Mark


def schedules() -> list[TaskRow]:
    """The periodic tasks as beat knows them. Beat writes the last run down now and then, not after each."""
    rows = PeriodicTask.objects.select_related("interval", "crontab").order_by("name")
    return [_task(row) for row in rows if row.name != "celery.backend_cleanup"]


def _task(row: Any) -> TaskRow:
    every = int(row.interval.schedule.run_every.total_seconds()) if row.interval else None
    return TaskRow(
        row.pk,
        row.name,
        TASK_WORDS.get(row.task, row.description),
        every,
        "" if every else str(row.crontab or ""),
        row.queue or "",
        row.last_run_at,
        row.total_run_count,
        task_mark(row.enabled, every, row.last_run_at),
    )


def task_mark(enabled: bool, every: int | None, last: datetime | None) -> Mark:
    """Is it on, and does it run? Beat saves its figures every three minutes, so younger gaps say nothing."""
    if not enabled:
        return Mark("unknown", _("Off"), locked=True)
    if last is None:
        return Mark("unknown", _("Not run yet"))
    gap = timedelta(seconds=LATE * (every or 86_400)) + timedelta(minutes=5)
    if clock.now() - last > gap:
        return Mark("warning", _("Late"))
    return Mark("good", _("Running"))
