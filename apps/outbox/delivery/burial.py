"""Dead letters: written with the settlement that makes them, grouped under their cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from apps.outbox.deadletters.causes import fingerprint
from apps.outbox.delivery.outcome import Report, Settlement
from apps.outbox.models import AttemptOutcome, Cause, DeadLetter, MessageStatus


def bury(fresh: Sequence[Settlement]) -> dict[str, list[int]]:
    """Write a letter for each message of ``fresh`` that died. Returns their ids by service."""
    dead = [item for item in fresh if item.verdict.status is MessageStatus.DLQ]
    if not dead:
        return {}
    causes = [_cause_of(item.report) for item in dead]
    _upsert_causes({cause.fingerprint: cause for cause in causes})
    letters = [_letter_of(item, cause.fingerprint) for item, cause in zip(dead, causes, strict=True)]
    died: dict[str, list[int]] = defaultdict(list)
    for letter in DeadLetter.objects.bulk_create(letters):
        died[letter.service].append(letter.pk)
    return dict(died)


def _cause_of(report: Report) -> Cause:
    key, text = fingerprint(report.service, report.error_class, report.status_code, report.error)
    return Cause(
        fingerprint=key,
        service=report.service,
        error_class=report.error_class,
        status_code=report.status_code,
        message=text,
    )


def _upsert_causes(causes: Mapping[str, Cause]) -> None:
    """In the order of their fingerprints, so that two workers never wait for each other in a circle."""
    now = datetime.now(UTC)
    for cause in causes.values():
        cause.last_seen = now
    Cause.objects.bulk_create(
        [causes[key] for key in sorted(causes)],
        update_conflicts=True,
        unique_fields=["fingerprint"],
        update_fields=["last_seen"],
    )


def _letter_of(item: Settlement, cause: str) -> DeadLetter:
    report = item.report
    return DeadLetter(
        message_id=report.row.id,
        service=report.service,
        tenant_id=report.row.tenant_id,
        cause_id=cause,
        reason=item.verdict.reason or "",
        status_code=report.status_code,
        error_class=report.error_class,
        error=report.error,
        attempts=item.verdict.attempt_count,
        ambiguous=report.outcome in (AttemptOutcome.AMBIGUOUS, AttemptOutcome.LOST),
    )
