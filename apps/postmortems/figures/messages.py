"""What an incident did to messages. Each query reads an index on time, or one that holds few rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import Count, F, Q, Sum

from apps.core.db import database_now
from apps.outbox.models import LIVE, DeadLetter, DeliveryMinute, Message, MessageStatus
from apps.postmortems.figures.scope import Rows, Scope

# A message that is sent later than this after it was due is late.
LATE: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Result:
    """``value`` None: not known (yet). ``parts`` are its shares by service."""

    value: float | None
    parts: tuple[tuple[str, float], ...] = ()


def summed(found: Iterable[tuple[str, int | None]]) -> Result:
    parts = tuple((name, count) for name, count in sorted(found) if count)
    return Result(sum(count for _name, count in parts), parts)


def delayed(scope: Scope) -> Result:
    """``sent_at`` or now, less the later of ``created_at`` and ``send_after``, is over a minute."""
    sent = Q(status=MessageStatus.SENT, sent_at__gt=F("created_at") + LATE)
    sent &= Q(send_after__isnull=True) | Q(sent_at__gt=F("send_after") + LATE)
    due = database_now() - LATE
    waits = Q(status__in=LIVE, created_at__lt=due) & (Q(send_after__isnull=True) | Q(send_after__lt=due))
    rows = Message.objects.filter(scope.within("created_at"), scope.of_services(), sent | waits)
    return summed(rows.order_by().values_list("service_id").annotate(Count("pk")))


def dead_lettered(scope: Scope) -> Result:
    rows = DeadLetter.objects.filter(scope.within("died_at"), scope.of_services())
    return summed(rows.order_by().values_list("service").annotate(Count("pk")))


def expired(scope: Scope) -> Result:
    """The index of what ended without being sent holds these and few others."""
    rows = Message.objects.filter(scope.within("settled_at"), scope.of_services(), status=MessageStatus.EXPIRED)
    return summed(rows.order_by().values_list("service_id").annotate(Count("pk")))


def failed(scope: Scope) -> Result:
    rows = DeliveryMinute.objects.filter(scope.of_services(), minute__gte=scope.first_minute, minute__lt=scope.end)
    return summed(rows.order_by().values_list("service").annotate(bad=Sum(F("failed") + F("timed_out"))))


def _one(scope: Scope) -> dict[str, str]:
    return {"service": scope.services[0]} if len(scope.services) == 1 else {}


def accepted_rows(scope: Scope) -> Rows:
    return Rows("outbox", query=_one(scope), timed=True)


def expired_rows(scope: Scope) -> Rows:
    return Rows("outbox", query={**_one(scope), "status": "expired"})


def letter_rows(scope: Scope) -> Rows:
    return Rows("letters", query={**_one(scope), "state": "all"})


def service_rows(scope: Scope) -> Rows:
    return Rows("service", scope.services) if len(scope.services) == 1 else Rows("services")
