"""What a person does to one waiting message: cancel it, or have it tried now.

Both change the row only while it still waits: the row is locked, so a claim that was faster wins and
the person is told so.
"""

from __future__ import annotations

from typing import Any, Final

import structlog
from django.db import transaction
from django.db.models import Min
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.audit.services import record
from apps.core import human
from apps.core.actor import MESSAGES_WRITE, Actor, require
from apps.core.clock import now
from apps.core.errors import Conflict, NotFound
from apps.outbox.models import LIVE, WAITING, DeadLetter, DeadLetterState, Message, MessageStatus
from apps.outbox.nudge import nudge

log = structlog.get_logger(__name__)

# Bodies may be large and are of no interest to a decision.
COLUMNS: Final = (
    "id",
    "service",
    "status",
    "ordering_key",
    "next_attempt_at",
    "send_after",
    "expires_at",
    "sent_at",
    "settled_at",
    "claimed_by",
    "lease_until",
)


@transaction.atomic
def cancel(*, message_id: int, actor: Actor, reason: str = "") -> Message:
    """Stop a waiting message for good; the next one of its ordering_key may go.

    Raises :class:`NotFound`, and :class:`Conflict` when it is on its way or has ended.
    """
    require(actor, MESSAGES_WRITE)
    message = _locked(message_id)
    if message.status not in WAITING:
        raise Conflict(_why_not_cancelled(message), detail={"status": message.status})
    before = {"status": message.status}
    _change(message, status=MessageStatus.CANCELLED, settled_at=Now(), held=False)
    if message.ordering_key:
        let_next_go(message.service_id, message.ordering_key)
    record(
        actor=actor,
        action="message.cancelled",
        target=f"message {message_id}",
        before=before,
        after={"status": MessageStatus.CANCELLED},
        reason=reason,
    )
    nudge()
    log.info("message.cancelled", message_id=message_id, service=message.service_id, actor=str(actor))
    return Message.objects.get(pk=message_id)


@transaction.atomic
def retry_now(*, message_id: int, actor: Actor) -> Message:
    """Make a waiting message due now: its back-off and ``send_after`` are dropped, its attempts stay.

    Breaker, pause, limits and the order of its key still hold. Raises :class:`NotFound`, and
    :class:`Conflict` when it does not wait; a dead letter is replayed instead.
    """
    require(actor, MESSAGES_WRITE)
    message = _locked(message_id)
    if message.status not in WAITING or (message.expires_at is not None and message.expires_at <= now()):
        raise Conflict(_why_not_retried(message), detail={"status": message.status})
    before = {"next_attempt_at": message.next_attempt_at, "send_after": message.send_after}
    _change(message, next_attempt_at=Now(), send_after=None)
    changed = Message.objects.get(pk=message_id)
    record(
        actor=actor,
        action="message.retried_now",
        target=f"message {message_id}",
        before=before,
        after={"next_attempt_at": changed.next_attempt_at, "send_after": None},
    )
    nudge()
    log.info("message.retried_now", message_id=message_id, service=message.service_id, actor=str(actor))
    return changed


def let_next_go(service: str, ordering_key: str) -> None:
    """Let the lowest held message of a key go. Claiming holds it again if something stands before it."""
    held = Message.objects.filter(service_id=service, ordering_key=ordering_key, held=True, status__in=LIVE)
    lowest = held.exclude(ordering_key="").aggregate(lowest=Min("id"))["lowest"]
    if lowest is not None:
        Message.objects.filter(pk=lowest).update(held=False)


def _locked(message_id: int) -> Message:
    message = Message.objects.select_for_update().only(*COLUMNS).filter(pk=message_id).first()
    if message is None:
        raise NotFound(_("There is no message {id}. It may have been pruned.").format(id=message_id))
    return message


def _change(message: Message, **changes: Any) -> None:
    """Change the row only if it still waits, whatever the database's locks are worth."""
    if not Message.objects.filter(pk=message.pk, status__in=WAITING).update(**changes):
        text = _("Message {id} was taken by a worker just now. Look again in a moment.")
        raise Conflict(text.format(id=message.pk))


def _why_not_cancelled(message: Message) -> str:
    if message.status == MessageStatus.SENDING:
        text = _(
            "Message {id} is on its way right now ({worker}), so it cannot be stopped. "
            "Wait for this attempt to end; if it fails, the message waits again and can be cancelled."
        )
        return text.format(id=message.pk, worker=_worker(message))
    if message.status == MessageStatus.DLQ:
        text = _("Message {id} is a dead letter: nothing will send it. Discard {letter} to close it.")
        return text.format(id=message.pk, letter=_letter(message))
    return _ended(message)


def _why_not_retried(message: Message) -> str:
    if message.status == MessageStatus.SENDING:
        text = _("Message {id} is being tried right now ({worker}). Wait for this attempt to end.")
        return text.format(id=message.pk, worker=_worker(message))
    if message.status == MessageStatus.DLQ:
        text = _("Message {id} is a dead letter and out of attempts. Replay {letter} to send it again.")
        return text.format(id=message.pk, letter=_letter(message))
    if message.status in WAITING and message.expires_at is not None:
        text = _("Message {id} expired at {time}, so it must not be sent any more. Accept a new message instead.")
        return text.format(id=message.pk, time=human.exact(message.expires_at))
    return _ended(message)


def _worker(message: Message) -> str:
    worker = message.claimed_by or _("a worker")
    if message.lease_until is None:
        return worker
    until = human.clock_in_zone(message.lease_until, now())
    return _("{worker}, lease until {time}").format(worker=worker, time=until)


def _letter(message: Message) -> str:
    letter = DeadLetter.objects.filter(message_id=message.pk, state=DeadLetterState.OPEN).order_by("-id").first()
    return _("dead letter {id}").format(id=letter.pk) if letter else _("its dead letter")


def _ended(message: Message) -> str:
    at = message.sent_at or message.settled_at
    when = human.exact(at) if at else _("an unknown time")
    text = {
        MessageStatus.SENT: _("Message {id} was sent at {time}: there is nothing left to do with it."),
        MessageStatus.CANCELLED: _("Message {id} was cancelled at {time}: there is nothing left to do with it."),
        MessageStatus.EXPIRED: _("Message {id} expired at {time}: there is nothing left to do with it."),
    }[MessageStatus(message.status)]
    return text.format(id=message.pk, time=when)
