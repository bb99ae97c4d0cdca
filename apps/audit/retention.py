"""Removing old rows: the one way the guard of the database lets through, and itself in the trail."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.audit import guard
from apps.audit.models import AuditAnchor, AuditEntry
from apps.audit.services import CHAIN_LOCK, record
from apps.audit.verification import PRUNED
from apps.core import clock
from apps.core.actor import PEOPLE_MANAGE, Actor, require
from apps.core.errors import Invalid

log = structlog.get_logger(__name__)

LEAST: Final = timedelta(days=30)


def prune(*, before: datetime, actor: Actor, reason: str) -> int:
    """Remove the rows written before ``before``; the newest row always stays. Returns how many went.

    The rows are a piece of the chain from its beginning, and a row says where it ends. On PostgreSQL only the owner
    of the tables may (docs/howto/audit.md). Raises :class:`Invalid` for a time less than 30 days ago.
    """
    require(actor, PEOPLE_MANAGE)
    if before > clock.now() - LEAST:
        raise Invalid.field("before", _("at least {days} days are kept").format(days=LEAST.days))
    if not reason.strip():
        raise Invalid.field("reason", _("is required: say which rule asks for it"))
    return _prune(before, actor, reason)


@transaction.atomic
def _prune(before: datetime, actor: Actor, reason: str) -> int:
    _hold_chain()
    # Up to the first row that stays: the clocks of two hosts may disagree by a little.
    first_kept = AuditEntry.objects.filter(at__gte=before).order_by("at", "pk").values_list("pk", flat=True).first()
    rows = AuditEntry.objects.filter(at__lt=before)
    if first_kept is not None:
        rows = rows.filter(pk__lt=first_kept)
    newest = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    last = rows.filter(pk__lt=newest).order_by("-pk").first()
    if last is None:
        return 0
    gone = _delete_through(last.pk)
    after = {"through_id": last.pk, "through_hash": last.hash, "rows": gone, "before": before.isoformat()}
    record(actor=actor, action=PRUNED, target="audit trail", after=after, reason=reason)
    log.info("audit.pruned", rows=gone, through_id=last.pk, actor=str(actor))
    return gone


def _hold_chain() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHAIN_LOCK])


def _delete_through(last: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(guard.open_sql())
        gone = AuditEntry.objects.filter(pk__lte=last)._raw_delete(using="default")
        AuditAnchor.objects.filter(entry_id__lte=last)._raw_delete(using="default")
        cursor.execute(guard.close_sql())
    return gone
