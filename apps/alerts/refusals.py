"""Posts that were turned away, counted where an operator sees them."""

from __future__ import annotations

import structlog
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.http import HttpRequest

from apps.alerts.models import Refusal
from apps.core.http import client_ip

log = structlog.get_logger(__name__)


def count_refusal(reason: str, request: HttpRequest, detail: str) -> None:
    """One more of ``reason`` from this address. Never in the way of the answer."""
    address = client_ip(request)
    agent = request.headers.get("User-Agent", "")[:200]
    log.warning("alerts.refused", reason=reason, address=address, agent=agent)
    try:
        with transaction.atomic():
            _count(reason, address, agent, detail[:500])
    except DatabaseError as error:
        log.warning("alerts.refusal_not_counted", error=str(error)[:200])


def _count(reason: str, address: str, agent: str, detail: str) -> None:
    told = {"agent": agent, "detail": detail}
    found = Refusal.objects.filter(reason=reason, address=address)
    if found.update(count=F("count") + 1, last_at=Now(), **told):
        return
    try:
        with transaction.atomic():
            Refusal.objects.create(reason=reason, address=address, **told)
    except IntegrityError:  # another process was first
        found.update(count=F("count") + 1, last_at=Now(), **told)
