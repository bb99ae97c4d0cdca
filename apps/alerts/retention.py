"""Old bodies, log lines and resolved alerts are deleted in small batches.

Never an alert that is open, nor one that something else holds on to (an incident, and so its post-mortem): whatever
points at an alert with PROTECT keeps it, whichever app it is of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import models, transaction
from django.db.models import Exists, OuterRef, ProtectedError, Q, QuerySet

from apps.alerts.episodes import OPEN_STATES, State
from apps.alerts.models import AlertDelivery, AlertLog, DeliveryState, Episode, Maintenance, SourceHour, Storm
from apps.core.db import database_now

log = structlog.get_logger(__name__)

BATCH: Final = 200
BATCHES: Final = 20


def prune_all(now: datetime | None = None) -> dict[str, int]:
    """Returns how many of each were deleted."""
    at = now or database_now()
    done = {
        "bodies": _prune(old_bodies, settings.KEEP_ALERT_BODIES_DAYS, at),
        "alerts": _prune(old_episodes, settings.KEEP_ALERTS_DAYS, at),
        "lines": _prune(old_lines, settings.KEEP_ALERTS_DAYS, at),
        "windows": _prune(old_windows, settings.KEEP_ALERTS_DAYS, at),
        "storms": _prune(old_storms, settings.KEEP_ALERTS_DAYS, at),
        "hours": _prune(old_hours, settings.KEEP_ALERTS_DAYS, at),
    }
    if any(done.values()):
        log.info("alerts.pruned", **done)
    return done


def _prune(old: Callable[[datetime], QuerySet[Any]], days: int, now: datetime) -> int:
    return sum(_batches(old(now - timedelta(days=days)))) if days else 0


def _batches(found: QuerySet[Any]) -> Iterator[int]:
    for _ in range(BATCHES):
        ids = list(found.order_by("pk").values_list("pk", flat=True)[:BATCH])
        if not ids:
            return
        yield _deleted(found, ids)


def _deleted(found: QuerySet[Any], ids: list[int]) -> int:
    """Asked anew inside the transaction; what was cited meanwhile stays, and is left out by the next question."""
    try:
        with transaction.atomic():
            rows = found.filter(pk__in=ids)
            count = rows.count()
            rows.delete()
    except ProtectedError:
        return 0
    return count


def old_bodies(before: datetime) -> QuerySet[AlertDelivery]:
    """Of an open alert the bodies stay, so that a page can be explained."""
    open_lines = AlertLog.objects.filter(delivery=OuterRef("pk"), episode__state__in=OPEN_STATES)
    done = AlertDelivery.objects.filter(received_at__lt=before).exclude(state=DeliveryState.STORED)
    return done.filter(~Exists(open_lines))


def old_episodes(before: datetime) -> QuerySet[Episode]:
    return Episode.objects.filter(*_not_cited(), state=State.RESOLVED, resolved_at__lt=before)


def _not_cited() -> Iterator[Q]:
    for relation in Episode._meta.related_objects:
        if getattr(relation, "on_delete", None) is models.PROTECT:
            citing = relation.related_model._default_manager.filter(**{relation.field.name: OuterRef("pk")})
            yield Q(~Exists(citing))


def old_lines(before: datetime) -> QuerySet[AlertLog]:
    """Lines of an alert that is kept are kept with it."""
    return AlertLog.objects.filter(at__lt=before, episode__isnull=True)


def old_windows(before: datetime) -> QuerySet[Maintenance]:
    return Maintenance.objects.filter(ends_at__lt=before)


def old_storms(before: datetime) -> QuerySet[Storm]:
    return Storm.objects.filter(ended_at__lt=before, notifications__isnull=True)


def old_hours(before: datetime) -> QuerySet[SourceHour]:
    """What a source posted, hour by hour: its board shows the last day."""
    return SourceHour.objects.filter(hour__lt=before)
