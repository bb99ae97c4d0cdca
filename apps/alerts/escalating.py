"""The sweep that tells people, by rows and the database's clock.

One transaction moves escalations on, writes what was decided, and puts the messages into the outbox. Killed anywhere,
all of it happened or none; the row is still due. Two sweeps share the rows (SKIP LOCKED) and never take one twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.db import connection, transaction
from django.db.models import Q

from apps.alerts import bounced, heart, linking, maintenance, storming
from apps.alerts.episodes import State
from apps.alerts.models import Episode, Escalation
from apps.alerts.policies import facts_of, frozen, in_force, thawed
from apps.alerts.reaching import Directory
from apps.alerts.story import note_event
from apps.alerts.telling import Telling, tell_resolved, tell_step
from apps.core.db import database_now

log = structlog.get_logger(__name__)

BATCH: Final = 2000


def escalate(now: datetime | None = None) -> int:
    """One sweep: begin, end, and tell what is due. Returns how many steps were taken."""
    at = now or database_now()
    beat = heart.last_beat()
    linking.link(at)
    begin_missing(at)
    end_finished(at)
    begin_again(at)
    bounced.follow(at)
    maintenance.release(at)
    taken = tell_due(at, beat)
    storming.go_on(at)
    heart.beat(at)
    return taken


@transaction.atomic
def begin_again(now: datetime) -> int:
    """An acknowledgement that has ended while the alert still fires: its escalation begins once more."""
    rows = _locked(episode__state=State.FIRING, episode__acknowledged_until__lte=now)
    for row in rows:
        note_event(row.episode, "acknowledgement_ended", now)
        Episode.objects.filter(pk=row.episode_id).update(
            acknowledged_at=None, acknowledged_by="", acknowledged_until=None
        )
        row.cycle, row.step, row.started_at, row.next_at = row.cycle + 1, 0, now, now
    Escalation.objects.bulk_update(rows, ["cycle", "step", "started_at", "next_at"], batch_size=500)
    return len(rows)


@transaction.atomic
def begin_missing(now: datetime) -> int:
    """An escalation for every firing episode that has none. Its clock starts when the alert was first heard of."""
    firing = Episode.objects.filter(state=State.FIRING, escalation__isnull=True).order_by("pk")[:BATCH]
    episodes = list(firing)
    if not episodes:
        return 0
    version, routing = in_force()
    rows = []
    for episode in episodes:
        route = routing.route_of(facts_of(episode))
        rows.append(
            Escalation(
                episode=episode,
                route=route.name,
                routing=version,
                policy=frozen(routing, route),
                started_at=episode.first_seen_at,
                next_at=episode.first_seen_at + timedelta(seconds=route.steps[0].after),
            )
        )
    Escalation.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    return len(rows)


def _locked(*conditions: Q, **more: Any) -> list[Escalation]:
    skip = connection.features.has_select_for_update_skip_locked
    rows = Escalation.objects.select_for_update(skip_locked=skip, of=("self",)).filter(ended_at__isnull=True)
    held = [row.pk for row in rows.filter(*conditions, **more).order_by("next_at", "pk")[:BATCH]]
    # Asked again now that they are held: what was acknowledged or ended before that is seen by this sweep.
    found = Escalation.objects.select_related("episode__source").filter(*conditions, pk__in=held, **more)
    return list(found.order_by("next_at", "pk"))


@transaction.atomic
def end_finished(now: datetime) -> int:
    """Episodes that are resolved need nobody any more; who was told of the start is told of the end."""
    ended = _locked(episode__state=State.RESOLVED)
    if ended:
        tell_resolved(ended, Directory(now), now)
    Escalation.objects.filter(pk__in=[row.pk for row in ended]).update(ended_at=now, next_at=None, held_by=None)
    return len(ended)


def due(now: datetime) -> Q:
    """What is to be told now. Recovering, silenced, snoozed, outranked or in maintenance holds a step, not its clock:
    what became overdue meanwhile is told after.
    """
    awake = Q(episode__snoozed_until__isnull=True) | Q(episode__snoozed_until__lte=now)
    foremost = Q(episode__outranked_by__isnull=True) | Q(episode__outranked_by__state=State.RESOLVED)
    heard = Q(episode__state=State.FIRING, episode__suppressed=False, held_by__isnull=True)
    return awake & foremost & heard & Q(next_at__lte=now, ended_at__isnull=True)


@transaction.atomic
def tell_due(now: datetime, beat: datetime | None = None) -> int:
    """Take every due step. ``beat`` is when the sweep before this one ended."""
    ready = maintenance.let_through(_locked(due(now)), now)
    directory = Directory(now)
    for (_, step), rows in sorted(_together(ready).items()):
        route, targets, owners = thawed(rows[0].policy)
        telling = Telling(route.steps[step], targets, owners, directory, now, beat)
        unreached = tell_step(rows, telling, storming.gather)
        for row in rows:
            _advance(row, now, at_once=row.pk in unreached)
    Escalation.objects.bulk_update(ready, ["step", "next_at"], batch_size=500)
    return len(ready)


def _together(rows: Sequence[Escalation]) -> dict[tuple[str, int], list[Escalation]]:
    """Rows that may be told together: the same frozen policy, the same step."""
    found: dict[tuple[str, int], list[Escalation]] = defaultdict(list)
    for row in rows:
        found[storming.policy_of(row), row.step].append(row)
    return found


def _advance(row: Escalation, now: datetime, *, at_once: bool) -> None:
    """On to the next step; at once when this one reached nobody."""
    steps = row.policy["route"]["steps"]
    row.step += 1
    row.next_at = None
    if row.step < len(steps):
        row.next_at = now if at_once else row.started_at + timedelta(seconds=steps[row.step]["after"])
    log.info("alerts.escalated", episode_id=row.episode_id, step=row.step, next_at=str(row.next_at))
