"""Who watches the sweep that pages people. It runs where the sweep does not: in every web process and in the delivery
worker, on a small thread of its own, so it goes on while beat, the broker or the control worker are dead.

When no sweep has ended for a minute, or a due step has waited for a minute, it says so once for each outage: through
the outbox to whoever the routing in force sends critical alerts to, and directly to whatever the environment names
(ALARM_WEBHOOK_URL, ALARM_PAGERDUTY_KEY, ALARM_EMAIL). While all is well it asks HEARTBEAT_URL, so that somebody
outside notices when everything is dead. Nothing here waits for longer than :data:`TIMEOUT_S`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Q

from apps.alerts import alarms, heart
from apps.alerts.escalating import due
from apps.alerts.models import EngineHeartbeat, Escalation
from apps.core.db import database_now

log = structlog.get_logger(__name__)

EVERY_S: Final = 10.0
SILENT: Final = timedelta(seconds=60)
PING_EVERY: Final = timedelta(seconds=60)
LOOKED_AT: Final = 200
Step = tuple[int, int, int]


def silence_of(beat_at: datetime, now: datetime) -> str:
    """What is wrong with a heartbeat of ``beat_at``; empty when nothing is. Pure."""
    if now - beat_at <= SILENT:
        return ""
    seconds = int((now - beat_at).total_seconds())
    return (
        f"No sweep of the escalation has ended for {seconds} s: nobody is paged. Look at beat and the control worker."
    )


class Watcher:
    """Of one process. What it has seen by itself is measured with the process's own steady clock."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._began = steady()
        self._waiting: dict[Step, float] = {}
        self._away_since: float | None = None
        self._unsaid: list[alarms.Alarm] = []
        self._said_away = False

    def look(self) -> str:
        """Returns what is wrong; empty when nothing is, or nothing is certain yet."""
        try:
            problem = self._looked()
        except DatabaseError as error:
            problem = self._database_away(error)
        self._say_unsaid()
        return problem

    def _looked(self) -> str:
        now = database_now()
        row, _ = EngineHeartbeat.objects.get_or_create(pk=heart.NAME, defaults={"beat_at": now})
        self._database_back()
        late = self._late(now)
        problem = silence_of(row.beat_at, now) or late
        EngineHeartbeat.objects.filter(pk=row.pk).update(problem=problem[:500], watched_at=now)
        # Right after a start the others may be on their way up, and what waits has not been watched for long.
        if self._steady() - self._began >= SILENT.total_seconds():
            self._alarm(row, problem, now) if problem else self._all_clear(row, now)
        return problem

    def _late(self, now: datetime) -> str:
        """A step that this process has seen due for a minute. Seen, because a step may have been held until now."""
        overdue = Escalation.objects.filter(due(now - SILENT)).order_by("next_at", "pk")
        steps = set(overdue.values_list("pk", "cycle", "step")[:LOOKED_AT])
        at = self._steady()
        self._waiting = {step: self._waiting.get(step, at) for step in steps}
        late = [step for step, since in self._waiting.items() if at - since >= SILENT.total_seconds()]
        if not late:
            return ""
        return f"{len(late)} steps of escalations are due for more than a minute and are not taken."

    def _alarm(self, row: EngineHeartbeat, problem: str, now: datetime) -> None:
        """Once for each outage, whoever sees it first."""
        with transaction.atomic():
            if not EngineHeartbeat.objects.filter(pk=row.pk, alarmed_at__isnull=True).update(alarmed_at=now):
                return
            alarm = alarms.Alarm(f"opsportal-escalation-{int(now.timestamp())}", problem, over=False)
            alarms.through_the_outbox(alarm, now)
        log.error("alerts.escalation_stopped", problem=problem)
        self._unsaid = alarms.direct(alarm)

    def _all_clear(self, row: EngineHeartbeat, now: datetime) -> None:
        began = row.alarmed_at
        if began is not None and EngineHeartbeat.objects.filter(pk=row.pk, alarmed_at=began).update(alarmed_at=None):
            seconds = int((now - began).total_seconds())
            alarm = alarms.Alarm(
                f"opsportal-escalation-{int(began.timestamp())}",
                f"Alerts are escalated again, {seconds} s later.",
                over=True,
            )
            with transaction.atomic():
                alarms.through_the_outbox(alarm, now)
            log.warning("alerts.escalation_goes_on", seconds=seconds)
            self._unsaid = alarms.direct(alarm)
        self._ping(row, now)

    def _ping(self, row: EngineHeartbeat, now: datetime) -> None:
        """Tell the outside that all is well; one process each minute."""
        if not settings.HEARTBEAT_URL:
            return
        due_again = Q(pinged_at__isnull=True) | Q(pinged_at__lte=now - PING_EVERY)
        if EngineHeartbeat.objects.filter(due_again, pk=row.pk).update(pinged_at=now):
            problem = alarms.ping(settings.HEARTBEAT_URL)
            EngineHeartbeat.objects.filter(pk=row.pk).update(ping_problem=problem[:500])

    def _database_away(self, error: DatabaseError) -> str:
        """Nothing can be written down, so each process says it by itself, directly, once."""
        at = self._steady()
        self._away_since = at if self._away_since is None else self._away_since
        connection.close()
        problem = (
            f"The database cannot be used: {str(error).splitlines()[0][:200] if str(error) else type(error).__name__}"
        )
        if at - self._away_since >= SILENT.total_seconds() and not self._said_away:
            self._said_away = True
            self._unsaid = alarms.direct(alarms.Alarm("opsportal-database", problem, over=False))
        return problem

    def _database_back(self) -> None:
        if self._said_away:
            self._unsaid = alarms.direct(alarms.Alarm("opsportal-database", "The database is back.", over=True))
        self._away_since, self._said_away = None, False

    def _say_unsaid(self) -> None:
        """What could not be said is tried again with every look."""
        self._unsaid = [alarm for alarm in self._unsaid if not alarms.say(alarm)]


def run(stop: threading.Event, watcher: Watcher | None = None) -> None:
    watching = watcher or Watcher()
    while not stop.wait(EVERY_S):
        try:
            watching.look()
        except Exception:  # the watcher must outlive whatever it meets
            log.exception("alerts.watcher_failed")
        finally:
            connection.close()


_started = threading.Lock()


def start() -> threading.Event | None:
    """The thread of this process; None when it has one already."""
    if not _started.acquire(blocking=False):
        return None
    stop = threading.Event()
    threading.Thread(target=run, args=(stop,), name="escalation-watcher", daemon=True).start()
    return stop
