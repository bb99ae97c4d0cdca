"""Many alerts at once are one message for each target of their route, with counts.

More than :data:`STORM` of one route and step within :data:`WITHIN`, over however many sweeps they arrive, are a storm.
While it lasts, what joins it is counted and told by an update, at most one in :data:`UPDATE_EVERY`. Nothing is left
out: every alert has its row, and every row the message that spoke of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import transaction
from django.db.models import Count, F, Min, QuerySet

from apps.alerts import telling
from apps.alerts.bounced import NO_MESSAGE
from apps.alerts.models import Escalation, Fate, Notification, NotificationOutcome, Storm
from apps.alerts.notices import Notice, named
from apps.alerts.reaching import Directory, Way
from apps.core.errors import PortalError

log = structlog.get_logger(__name__)

STORM: Final = 10
WITHIN: Final = timedelta(seconds=60)
UPDATE_EVERY: Final = timedelta(minutes=2)
# After so long without another alert a storm takes no more in.
CALM: Final = timedelta(minutes=5)


def policy_of(row: Escalation) -> str:
    """The same for rows that are told the same way."""
    return f"{row.routing_id}:{row.route}"


def gather(rows: Sequence[Escalation], now: datetime) -> Storm | None:
    """The storm that ``rows`` (of one policy and step) are part of; None while each is told by itself."""
    policy, step = policy_of(rows[0]), rows[0].step
    storm = Storm.objects.select_for_update().filter(policy=policy, step=step, closed_at__isnull=True).first()
    if storm is None and len(rows) + _told_lately(rows[0], now) <= STORM:
        return None
    if storm is None:
        fresh = {"route": rows[0].route, "opened_at": now, "joined_at": now, "told_at": now - UPDATE_EVERY}
        storm, _ = Storm.objects.get_or_create(policy=policy, step=step, closed_at=None, defaults=fresh)
    Storm.objects.filter(pk=storm.pk).update(alerts=F("alerts") + len(rows), joined_at=now)
    return storm


def _told_lately(row: Escalation, now: datetime) -> int:
    lately = Notification.objects.filter(
        kind=telling.PAGE, step=row.step, outcome=NotificationOutcome.QUEUED, decided_at__gt=now - WITHIN
    )
    same = lately.filter(escalation__routing=row.routing_id, escalation__route=row.route)
    return same.values("escalation").distinct().count()


def go_on(now: datetime) -> None:
    """Tell the storms that have something to say, close those that are calm, end those whose alerts are over."""
    for storm_id in list(Storm.objects.filter(ended_at__isnull=True).order_by("pk").values_list("pk", flat=True)):
        with transaction.atomic():
            storm = Storm.objects.select_for_update().filter(pk=storm_id, ended_at__isnull=True).first()
            if storm is not None:
                _go_on(storm, now)


def _go_on(storm: Storm, now: datetime) -> None:
    untold = storm.alerts > storm.told_alerts
    if untold and now - storm.told_at >= UPDATE_EVERY:
        _tell(storm, now)
    elif not untold and storm.closed_at is None and now - storm.joined_at >= CALM:
        storm.closed_at = now
    elif storm.closed_at is not None and not _running(storm).exists():
        _tell_end(storm, now)
        storm.ended_at = now
    storm.save(update_fields=["told_at", "told_alerts", "closed_at", "ended_at"])


def _running(storm: Storm) -> QuerySet[Notification]:
    return storm.notifications.filter(escalation__ended_at__isnull=True)


def _tell(storm: Storm, now: datetime) -> None:
    """One message to everybody who has not heard of some of its alerts yet; their rows say which message it was."""
    waiting = storm.notifications.filter(outcome=NotificationOutcome.QUEUED, message_id__isnull=True, fate=Fate.NONE)
    channels = Directory(now).channels
    ways = waiting.values_list("target", "service", "recipient").annotate(first=Min("pk")).order_by("first")
    for target, service, recipient, _ in list(ways):
        rows = waiting.filter(target=target, service=service, recipient=recipient)
        way = Way(service, recipient, channels.get(service, ""))
        try:
            message_id = telling.send(way, _notice(storm, way, target))
        except PortalError as error:
            log.warning("alerts.storm_untold", storm=storm.pk, target=target, problem=error.message)
            rows.update(message_id=NO_MESSAGE)
        else:
            rows.update(message_id=message_id, together=storm.alerts, decided_at=now)
    storm.told_at, storm.told_alerts = now, storm.alerts


def _tell_end(storm: Storm, now: datetime) -> None:
    """To those who were told of it, when the route tells of ends."""
    first = storm.notifications.select_related("escalation__episode").order_by("escalation_id").first()
    if first is None or not first.escalation.policy["route"]["tell_resolved"]:
        return
    channels = Directory(now).channels
    told = storm.notifications.filter(kind=telling.PAGE, message_id__isnull=False)
    for target, service, recipient in list(told.values_list("target", "service", "recipient").order_by().distinct()):
        way = Way(service, recipient, channels.get(service, ""))
        if not way.channel:
            continue
        try:
            telling.send(way, _notice(storm, way, target, kind=telling.RESOLVED))
        except PortalError as error:
            log.warning("alerts.storm_end_untold", storm=storm.pk, target=target, problem=error.message)


def _notice(storm: Storm, way: Way, target: str, kind: str = "storm") -> Notice:
    rows = storm.notifications.select_related("escalation__episode").filter(kind=telling.PAGE, target=target)
    first = rows.order_by("escalation_id").first()
    episode = first.escalation.episode if first is not None else None
    told = rows.filter(service=way.service, recipient=way.recipient, message_id__isnull=False).order_by("message_id")
    return Notice(
        kind=kind,
        key=f"opsportal-storm-{storm.pk}",
        title=_title(storm, kind),
        severity=episode.severity if episode is not None else "unknown",
        source="opsportal",
        url=telling.url_of("/alerts"),
        names=named(_names(storm, target)),
        began=rows.aggregate(first=Min("escalation__episode__first_seen_at"))["first"],
        step=f"step {storm.step + 1} of the route {storm.route}" if kind == "storm" else "",
        thread=_thread(told.first()) if way.channel == "slack" else "",
    )


def _title(storm: Storm, kind: str) -> str:
    if kind == telling.RESOLVED:
        return f"All {storm.alerts} alerts of the route {storm.route} are over"
    more = storm.alerts - storm.told_alerts
    since = f", {more} of them new" if storm.told_alerts else ""
    return f"{storm.alerts} alerts of the route {storm.route} at once{since}"


def _thread(first: Notification | None) -> str:
    return telling.thread_in(first.message_id) if first is not None else ""


def _names(storm: Storm, target: str) -> dict[str, int]:
    rows = storm.notifications.filter(kind=telling.PAGE, target=target).values_list("escalation__episode__name")
    return dict(rows.annotate(alerts=Count("pk")).order_by("-alerts", "escalation__episode__name"))
