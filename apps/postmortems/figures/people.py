"""How long people took, and how many of them were woken."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from apps.alerts.models import Notification, NotificationOutcome
from apps.postmortems.figures.messages import Result
from apps.postmortems.figures.scope import Rows, Scope

PAGE = "page"


def _between(start: datetime, end: datetime | None) -> Result:
    """Seconds; None while it has not happened. A start that was corrected to a later time makes no time negative."""
    return Result(None if end is None else max(0.0, round((end - start).total_seconds(), 3)))


def to_detect(scope: Scope) -> Result:
    return _between(scope.incident.started_at, scope.incident.detected_at)


def to_acknowledge(scope: Scope) -> Result:
    return _between(scope.incident.detected_at, scope.incident.acknowledged_at)


def to_resolve(scope: Scope) -> Result:
    return _between(scope.incident.started_at, scope.incident.resolved_at)


def _sent(scope: Scope) -> QuerySet[Notification]:
    return Notification.objects.filter(
        escalation__episode__in=scope.episodes, kind=PAGE, outcome=NotificationOutcome.QUEUED
    )


def pages(scope: Scope) -> Result:
    """One message may speak of many alerts: it is one page."""
    return Result(_sent(scope).order_by().values("message_id").distinct().count())


def paged(scope: Scope) -> Result:
    """Who or what was written to: a recipient of a service."""
    return Result(_sent(scope).order_by().values("service", "recipient").distinct().count())


def alerts(scope: Scope) -> Result:
    return Result(len(scope.episodes))


def incident_rows(scope: Scope) -> Rows:
    return Rows("incident", (scope.incident.pk,))
