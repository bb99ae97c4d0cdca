"""What came of an attempt and what follows from it: pure decisions, no I/O."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Final, NamedTuple

from apps.channels.base import DeliveryError, Receipt
from apps.outbox.delivery.claim import Claimed
from apps.outbox.models import AttemptOutcome, DeathReason, MessageStatus
from apps.outbox.retry import delay_before_retry
from apps.services.policies import RetryPolicy

MAX_ERROR_CHARS: Final = 1000
MAX_RESPONSE_CHARS: Final = 2048


class Report(NamedTuple):
    """One finished attempt, as it goes into ``delivery_attempt``. A tuple, as three are made per message."""

    row: Claimed
    service: str
    started_at: datetime
    seconds: float
    outcome: AttemptOutcome
    status_code: int | None = None
    error_class: str = ""
    error: str = ""
    response: str = ""
    permanent: DeathReason | None = None
    retry_after: float | None = None
    pauses_service: bool = False
    counts: bool = True


class Verdict(NamedTuple):
    """What becomes of the message. ``delay_s`` is set for RETRYING and PENDING, ``reason`` for DLQ."""

    status: MessageStatus
    attempt_count: int
    delay_s: float = 0.0
    reason: DeathReason | None = None


class Settlement(NamedTuple):
    """An attempt and what becomes of its message."""

    report: Report
    verdict: Verdict


def sent(row: Claimed, service: str, started_at: datetime, seconds: float, receipt: Receipt) -> Report:
    return Report(
        row,
        service,
        started_at,
        seconds,
        AttemptOutcome.SENT,
        receipt.status_code,
        response=_storable(receipt.response_excerpt, MAX_RESPONSE_CHARS),
    )


def failed(row: Claimed, service: str, started_at: datetime, seconds: float, error: DeliveryError) -> Report:
    """A report of a :class:`DeliveryError`; a time-out after the body had left is ambiguous."""
    return Report(
        row,
        service,
        started_at,
        seconds,
        _outcome_of(error),
        error.status_code,
        error.error_class,
        _storable(str(error), MAX_ERROR_CHARS),
        _storable(error.response_excerpt, MAX_RESPONSE_CHARS),
        permanent=DeathReason.PERMANENT if error.permanent else None,
        retry_after=error.retry_after,
        pauses_service=error.pauses_service,
    )


def _outcome_of(error: DeliveryError) -> AttemptOutcome:
    if error.ambiguous:
        return AttemptOutcome.AMBIGUOUS
    if error.timed_out:
        return AttemptOutcome.TIMED_OUT
    return AttemptOutcome.SLOWED if error.status_code == 429 else AttemptOutcome.FAILED


def _storable(text: str, limit: int) -> str:
    """Text that both databases can store, cut to ``limit`` characters."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:limit] if text else ""


def judge(report: Report, retry: RetryPolicy, *, dead_letter_waiting_head: bool, rng: random.Random) -> Verdict:
    """Decide what becomes of the message after ``report``.

    ``dead_letter_waiting_head``: a message with an ordering_key that would have to wait is
    dead-lettered, so that its followers go on (``ordering.waiting_head: dead_letter``).
    """
    count = report.row.attempt_count + report.counts
    if report.outcome is AttemptOutcome.SENT:
        return Verdict(MessageStatus.SENT, count)
    if not report.counts:
        return Verdict(MessageStatus.RETRYING if count else MessageStatus.PENDING, count)
    if report.permanent is not None:
        return Verdict(MessageStatus.DLQ, count, reason=report.permanent)
    if count >= (report.row.max_attempts or retry.max_attempts):
        lost = report.outcome is AttemptOutcome.LOST
        return Verdict(MessageStatus.DLQ, count, reason=DeathReason.WORKER_LOST if lost else DeathReason.EXHAUSTED)
    if report.row.ordering_key and dead_letter_waiting_head:
        return Verdict(MessageStatus.DLQ, count, reason=DeathReason.ORDERING)
    delay = delay_before_retry(retry, count, rng, report.retry_after)
    return Verdict(MessageStatus.RETRYING, count, delay_s=delay)
