"""Checks that run by themselves: every minute what is new, every night the whole trail, and when somebody asks.

A check is a row that says how far it is. It works in slices under a lease, so that a worker that is stopped in the
middle loses seconds, and the next one goes on from there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from celery import current_app
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from apps.audit import anchors
from apps.audit.models import AuditCheck, AuditEntry
from apps.audit.services import record
from apps.audit.verification import SLICE, Link, Verification, verify_slice
from apps.core import clock
from apps.core.actor import AUDIT_READ, Actor, require
from apps.core.errors import Conflict

log = structlog.get_logger(__name__)

State = AuditCheck.State
UNFINISHED: Final = (State.WAITING, State.RUNNING)
LEASE: Final = timedelta(minutes=2)
BUDGET_S: Final = 15.0
# Between two and three in the morning, UTC, few people wait for a worker.
NIGHT_HOUR: Final = 2
KEPT: Final = timedelta(days=90)
STALE_AFTER: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of the chain. ``last`` decides; ``stale`` when nothing has looked for ten minutes."""

    last: AuditCheck | None
    last_whole: AuditCheck | None
    running: AuditCheck | None
    stale: bool

    @property
    def word(self) -> str:
        """never, broken, stale or fits."""
        if self.last is None:
            return "never"
        if self.last.state == State.BROKEN:
            return "broken"
        return "stale" if self.stale else "fits"


def status() -> Status:
    """The state of the chain as the checks know it; nothing is verified here."""
    last = _finished().first()
    whole = last if last is None or last.whole else _finished().filter(whole=True).first()
    running = AuditCheck.objects.filter(state__in=UNFINISHED).first()
    return Status(last, whole, running, last is not None and last.seen_at < clock.now() - STALE_AFTER)


def _finished() -> QuerySet[AuditCheck]:
    return AuditCheck.objects.filter(state__in=(State.FITS, State.BROKEN)).order_by("-pk")


@transaction.atomic
def ask(*, actor: Actor) -> AuditCheck:
    """Have the whole trail checked by a control worker. Raises :class:`Conflict` while one is under way."""
    require(actor, AUDIT_READ)
    # First, because it makes whoever else asks at this moment wait.
    record(actor=actor, action="audit.check_asked", target="audit trail")
    running = AuditCheck.objects.filter(state__in=UNFINISHED).first()
    if running is not None:
        raise Conflict(
            _("A check is under way already: {checked} rows so far. Its result will be shown here.").format(
                checked=running.checked
            )
        )
    check = AuditCheck.objects.create(whole=True, asked_by=str(actor), started_at=clock.now(), seen_at=clock.now())
    transaction.on_commit(nudge)
    return check


def nudge() -> None:
    """Ask a control worker to look now. Losing this costs a minute."""
    try:
        current_app.send_task("audit.check", queue="control", expires=60, retry=False, ignore_result=True)
    except (OperationalError, OSError) as error:
        log.warning("audit.nudge_failed", error=str(error))


def look() -> AuditCheck | None:
    """Do what is due. Returns the check that was worked on, if any."""
    check = _claim()
    if check is None and not AuditCheck.objects.filter(state__in=UNFINISHED).exists():
        check = _make_due(clock.now())
    if check is None:
        return None
    if not _work(check):
        nudge()
    return check


def _claim() -> AuditCheck | None:
    """The oldest unfinished check, leased to this caller alone."""
    now = clock.now()
    free = Q(leased_until=None) | Q(leased_until__lt=now)
    found = AuditCheck.objects.filter(free, state__in=UNFINISHED).order_by("pk").first()
    if found is None:
        return None
    taken = AuditCheck.objects.filter(free, pk=found.pk, state__in=UNFINISHED).update(
        state=State.RUNNING, leased_until=now + LEASE, seen_at=now
    )
    found.refresh_from_db()
    return found if taken else None


def _make_due(now: datetime) -> AuditCheck | None:
    AuditCheck.objects.filter(state=State.FITS, finished_at__lt=now - KEPT).delete()
    last = _finished().first()
    whole = _finished().filter(whole=True).first()
    if whole is None or whole.started_at < _last_night(now):
        return _begin(whole=True, link=Link(), now=now)
    # A broken chain stays broken until a whole check says otherwise.
    if last is None or last.state == State.BROKEN:
        return None
    link = Link(last.upto_id, last.upto_hash)
    if not AuditEntry.objects.filter(pk__gt=link.id).exists() and verify_slice(link).broken_at is None:
        AuditCheck.objects.filter(pk=last.pk).update(seen_at=now)
        return None
    return _begin(whole=False, link=link, now=now)


def _last_night(now: datetime) -> datetime:
    night = now.replace(hour=NIGHT_HOUR, minute=0, second=0, microsecond=0)
    return night if night <= now else night - timedelta(days=1)


def _begin(*, whole: bool, link: Link, now: datetime) -> AuditCheck:
    return AuditCheck.objects.create(
        state=State.RUNNING,
        whole=whole,
        started_at=now,
        seen_at=now,
        leased_until=now + LEASE,
        upto_id=link.id,
        upto_hash=link.hash,
    )


def _work(check: AuditCheck) -> bool:
    """Slices for BUDGET_S seconds. True when the check is finished."""
    ends = time.monotonic() + BUDGET_S
    link = Link(check.upto_id, check.upto_hash)
    while True:
        found = verify_slice(link, SLICE)
        link = found.upto
        if found.broken_at is not None or not found.more:
            _finish(check, found)
            return True
        over = time.monotonic() > ends
        _progress(check, found, lease=None if over else clock.now() + LEASE)
        if over:
            return False


def _progress(check: AuditCheck, found: Verification, lease: datetime | None) -> None:
    AuditCheck.objects.filter(pk=check.pk).update(
        checked=F("checked") + found.checked,
        upto_id=found.upto.id,
        upto_hash=found.upto.hash,
        seen_at=clock.now(),
        leased_until=lease,
    )


def _finish(check: AuditCheck, found: Verification) -> None:
    now = clock.now()
    broken = found.broken_at is not None
    _progress(check, found, lease=None)
    AuditCheck.objects.filter(pk=check.pk).update(
        state=State.BROKEN if broken else State.FITS,
        broken_at=found.broken_at,
        problem=found.problem,
        finished_at=now,
    )
    check.refresh_from_db()
    if broken:
        log.error("audit.broken", entry_id=found.broken_at, problem=found.problem)
    elif found.upto.id:
        anchors.keep(found.upto.id, found.upto.hash)
