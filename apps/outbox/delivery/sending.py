"""One attempt: make the envelope, send it, tell the breaker, report. It never raises but when cancelled."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime

import structlog

from apps.breakers.guard import Permit
from apps.channels.base import DeliveryError
from apps.outbox.delivery.claim import Claimed
from apps.outbox.delivery.lanes import Lane, envelope_of
from apps.outbox.delivery.outcome import Report, failed, sent
from apps.outbox.models import AttemptOutcome, DeathReason
from apps.outbox.rendering import RenderingFailed
from apps.outbox.templating.choosing import Stored, TemplateKey

log = structlog.get_logger(__name__)

Templates = Mapping[TemplateKey, Stored]


async def attempt(lane: Lane, row: Claimed, permit: Permit, templates: Templates) -> Report:
    """Try to deliver ``row`` once and say what came of it."""
    service, started_at, start = lane.config.service, datetime.now(UTC), time.perf_counter()
    try:
        receipt = await lane.channel.send(envelope_of(row, service, templates))
    except RenderingFailed as error:
        permit.ignore()
        return _unrenderable(row, service, started_at, error)
    except DeliveryError as error:
        seconds = time.perf_counter() - start
        _tell_breaker(permit, seconds, error, row)
        return failed(row, service, started_at, seconds, error)
    except Exception as error:  # a bug in a channel must become an attempt, not a lost message
        permit.ignore()
        log.exception("delivery.unexpected", message_id=row.id, service=service)
        return failed(row, service, started_at, time.perf_counter() - start, _unexpected(error))
    except BaseException:
        permit.ignore()
        raise
    seconds = time.perf_counter() - start
    permit.success(seconds)
    return sent(row, service, started_at, seconds, receipt)


def _tell_breaker(permit: Permit, seconds: float, error: DeliveryError, row: Claimed) -> None:
    if error.counts_as_failure:
        permit.failure(seconds, timed_out=error.timed_out, error_class=error.error_class, sample=str(row.id))
    else:
        permit.ignore()


def interrupted(row: Claimed, service: str, seconds: float) -> Report:
    """A send that was cut off by this worker; it does not count as an attempt of the message."""
    return Report(
        row,
        service,
        datetime.now(UTC),
        seconds,
        AttemptOutcome.LOST,
        error_class="interrupted",
        error="The worker stopped before the answer came; the provider may have received this message.",
        counts=False,
    )


def stuck(row: Claimed, service: str, seconds: float) -> Report:
    """A send that ignored its own time-out; it counts."""
    return interrupted(row, service, seconds)._replace(
        error_class="stuck",
        error="The send did not end by its time-out and was cut off; the provider may have received this message.",
        counts=True,
    )


def _unrenderable(row: Claimed, service: str, started_at: datetime, error: RenderingFailed) -> Report:
    return Report(
        row,
        service,
        started_at,
        0.0,
        AttemptOutcome.FAILED,
        error_class="template_error",
        error=f"The template cannot be rendered: {error}",
        permanent=DeathReason.TEMPLATE,
    )


def _unexpected(error: Exception) -> DeliveryError:
    return DeliveryError(
        f"Unexpected {type(error).__name__} in the channel: {error}",
        error_class="unexpected",
        ambiguous=True,
        counts_as_failure=False,
    )
