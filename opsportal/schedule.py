"""The periodic work of the portal, and how it gets into django-celery-beat's tables.

The code owns which tasks there are, on which queue, and how long a missed beat stays of use. How often
a task runs, and whether it runs, belongs to the operator: what was changed in the database stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps
from django.db import transaction


@dataclass(frozen=True, slots=True)
class Beat:
    """``task`` is due every ``every`` seconds; a beat not begun after ``expires`` seconds is dropped."""

    task: str
    every: int
    queue: str
    expires: int
    why: str

    @property
    def description(self) -> str:
        return f"{MADE_HERE} {self.why} Every {self.every} s by default."


# The clock of the worker says whether a beat has expired. Alerts are looked after by a worker whose clock is an hour
# wrong as well, and what piles up meanwhile is looks that find nothing to do.
SKEW: Final = 7200
MADE_HERE: Final = "Made by opsportal/schedule.py."
DEFAULT: Final = re.compile(r"Every (\d+) s by default\.$")

SCHEDULE: Final = (
    Beat("outbox.deliver", 1, "delivery", 2, "Looks for messages that are due, should every nudge be lost."),
    Beat("outbox.sweep", 5, "control", 5, "Rescues expired leases, expires and releases messages."),
    Beat("outbox.advance_replays", 1, "control", 2, "Puts the next dead letters of running replays back."),
    Beat("alerts.process", 5, "control", SKEW, "Takes in stored posts of alerts, should every nudge be lost."),
    Beat("alerts.reconcile", 60, "control", 60, "Asks each Alertmanager for what its posts never tell."),
    Beat("alerts.settle", 5, "control", SKEW, "Resolves alerts that stayed normal, notices sources that fell silent."),
    Beat("incidents.collect", 10, "control", 10, "Fills the timelines of incidents with what happened since."),
    Beat("incidents.sweep", 10, "control", 10, "Opens, grows, reopens and ends incidents by their alerts and rules."),
    Beat("alerts.silences", 5, "control", 5, "Has Alertmanager follow the silences that people want."),
    Beat("alerts.prune", 600, "control", 300, "Deletes old bodies of posts, old log lines, alerts resolved long ago."),
    Beat("outbox.advance_triage", 1, "control", 2, "Goes on with assigning, snoozing or discarding many dead letters."),
    Beat("outbox.prune", 60, "control", 60, "Deletes old delivered messages and closed dead letters in small batches."),
    Beat("breakers.prune", 600, "control", 300, "Deletes what breakers counted more than two weeks ago."),
    Beat("idempotency.clean", 60, "control", 60, "Forgets idempotency keys that are past their time."),
    Beat("accounts.clean", 3600, "control", 3600, "Forgets sessions and password links that have expired."),
    Beat("postmortems.remind", 300, "control", 300, "Reminds owners of action items that are due or overdue."),
    Beat(
        "postmortems.sweep", 60, "control", 60, "Drafts what incidents that are over lack, and looks for later facts."
    ),
    Beat("audit.check", 60, "control", 60, "Checks the audit trail: what is new, and every night the whole of it."),
)


@transaction.atomic
def sync_schedule() -> list[str]:
    """Bring the tables in step with SCHEDULE. Returns what was made, changed or removed; twice changes nothing."""
    changes = [line for beat in SCHEDULE if (line := _sync_beat(beat))]
    periodic = apps.get_model("django_celery_beat", "PeriodicTask")
    ours = periodic.objects.filter(description__startswith=MADE_HERE)
    for old in ours.exclude(name__in=[beat.task for beat in SCHEDULE]):
        changes.append(f"{old.name}: removed, the code no longer has it")
        old.delete()
    return changes


def _sync_beat(beat: Beat) -> str:
    periodic = apps.get_model("django_celery_beat", "PeriodicTask")
    owned = {
        "task": beat.task,
        "queue": beat.queue,
        "expire_seconds": beat.expires,
        "description": beat.description,
    }
    found = periodic.objects.select_related("interval").filter(name=beat.task).first()
    if found is None:
        periodic.objects.create(name=beat.task, interval=_interval(beat.every), **owned)
        return f"{beat.task}: every {beat.every} s on {beat.queue}"
    changed = [name for name, value in owned.items() if getattr(found, name) != value]
    if _follows_default(found) and found.interval.every != beat.every:
        found.interval = _interval(beat.every)
        changed.append("interval")
    for name, value in owned.items():
        setattr(found, name, value)
    if changed:
        found.save()
    return f"{beat.task}: {', '.join(changed)} changed" if changed else ""


def _follows_default(task: Any) -> bool:
    """Does the row still run as often as the code said when it was last in step?"""
    noted = DEFAULT.search(task.description)
    interval = task.interval
    return bool(noted and interval and interval.period == "seconds" and interval.every == int(noted[1]))


def _interval(seconds: int) -> Any:
    interval = apps.get_model("django_celery_beat", "IntervalSchedule")
    return interval.objects.get_or_create(every=seconds, period="seconds")[0]
