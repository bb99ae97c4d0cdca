"""Edit and replay: a corrected copy goes out, the original stays as evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.audit.services import record
from apps.core.actor import MESSAGES_WRITE, REPLAYS_RUN, Actor, require
from apps.core.errors import Conflict, Invalid, NotFound
from apps.outbox.acceptance import FIELD_NAMES, from_mapping
from apps.outbox.deadletters.services import MAX_NOTE
from apps.outbox.models import DeadLetter, DeadLetterState, Message, MessageStatus, ReplayItem
from apps.outbox.services import accept
from apps.outbox.templating.choosing import reference_of

log = structlog.get_logger(__name__)

BODIES: Final = ("body_template", "template", "json", "payload")
# send_after is over and the key is a choice of its own; the rest is taken over unless it is changed.
KEPT: Final = ("service_id", "recipient", "subject", "content_type", "headers", "tenant_id", "priority")
KEPT_ALSO: Final = ("ordering_key", "expires_at", "max_attempts", "source")
EDITABLE: Final = FIELD_NAMES - {"edited_from", "source"}
JSON_TYPE: Final = "application/json"


@transaction.atomic
def edit_and_replay(
    *, dead_letter_id: int, changes: Mapping[str, Any], actor: Actor, reason: str, keep_key: bool = False
) -> Message:
    """Send a corrected copy of a dead message; the original keeps its row, its attempts and its death.

    The copy is a new message with a new identity on the wire, because a receiver that remembers the key
    of a refused request would refuse the copy unread. With ``keep_key`` it carries the original's
    identity and key: choose that when the original may have arrived (an ambiguous time-out), so that
    the receiver sees it once. A changed body replaces the old one of whatever kind; a named template is
    taken in the version in use now; the copy goes behind what waits in its ordering_key.

    Raises :class:`Invalid` naming each field, :class:`NotFound`, and :class:`Conflict` when the letter
    is not open or is in a replay.
    """
    require(actor, REPLAYS_RUN)
    require(actor, MESSAGES_WRITE)
    _check(changes, reason, keep_key)
    letter = _open_letter(dead_letter_id)
    original = letter.message
    copy = _accept_copy(original, changes)
    if keep_key:
        Message.objects.filter(pk=copy).update(uid=original.uid, idempotency_key=original.idempotency_key)
    _close(letter, copy, actor, reason)
    record(
        actor=actor,
        action="deadletter.edited_and_replayed",
        target=f"dead letter {letter.pk}",
        before={"message": original.pk},
        # Names only: what a message says may be personal. The two rows themselves show the difference.
        after={"message": copy, "changed": sorted(changes), "keep_key": keep_key},
        reason=reason,
    )
    log.info("deadletter.edited", dead_letter_id=letter.pk, message_id=original.pk, copy_id=copy, actor=str(actor))
    return Message.objects.get(pk=copy)


def _check(changes: Mapping[str, Any], reason: str, keep_key: bool) -> None:
    if not reason.strip():
        raise Invalid.field("reason", _("is required: say what was corrected and why"))
    if not changes:
        raise Invalid.field("changes", _("nothing was changed: replay the dead letter as it is instead"))
    unknown = sorted(set(changes) - EDITABLE)
    if unknown:
        raise Invalid.fields([{"field": name, "message": _("cannot be changed in a copy")} for name in unknown])
    if keep_key and changes.get("idempotency_key"):
        raise Invalid.field("idempotency_key", _("is kept from the original because keep_key was chosen"))


def _open_letter(dead_letter_id: int) -> DeadLetter:
    letters = DeadLetter.objects.select_for_update(of=("self",), no_key=True).select_related("message")
    letter = letters.filter(pk=dead_letter_id).first()
    if letter is None:
        raise NotFound(_("There is no dead letter {id}. Its message may have been pruned.").format(id=dead_letter_id))
    if letter.state != DeadLetterState.OPEN or letter.message.status != MessageStatus.DLQ:
        raise Conflict(
            _(
                "Dead letter {id} is {state} and its message {message} is {status}: only an open dead letter can be "
                "edited and replayed."
            ).format(id=letter.pk, state=letter.state, message=letter.message_id, status=letter.message.status),
            detail={"state": letter.state, "status": letter.message.status},
        )
    active = ReplayItem.objects.filter(
        dead_letter=letter, state__in=(ReplayItem.State.WAITING, ReplayItem.State.RELEASED)
    )
    replay = active.values_list("replay_id", flat=True).first()
    if replay is not None:
        raise Conflict(
            _("Dead letter {id} is part of replay {replay}. Wait for it, or cancel that replay first.").format(
                id=letter.pk, replay=replay
            ),
            detail={"replay": replay},
        )
    return letter


def _accept_copy(original: Message, changes: Mapping[str, Any]) -> int:
    fields = {name.removesuffix("_id") if name == "service_id" else name: getattr(original, name) for name in KEPT}
    fields |= {name: getattr(original, name) for name in KEPT_ALSO}
    fields |= {"body_data": original.body_data, "edited_from": original.pk}
    if not any(name in changes for name in BODIES):
        fields |= _body_of(original)
    given = {
        name: value for name, value in changes.items() if not (name in BODIES and value is None and name != "json")
    }
    return accept(from_mapping({**fields, **given})).message_id


def _body_of(original: Message) -> dict[str, Any]:
    """The original's body. Ready JSON goes over as text, because parsing it could change a number."""
    if original.json is not None:
        return {"payload": original.json, "content_type": original.content_type or JSON_TYPE}
    if original.payload is not None:
        return {"payload": original.payload}
    if original.template:
        return {"template": reference_of(original)}
    return {"body_template": original.body_template}


def _close(letter: DeadLetter, copy: int, actor: Actor, reason: str) -> None:
    text = f"A corrected copy was sent as message {copy}: {reason.strip()}"
    DeadLetter.objects.filter(pk=letter.pk).update(
        state=DeadLetterState.REPLAYED,
        resolved_at=Now(),
        resolved_by=str(actor)[:200],
        note="\n".join(part for part in (letter.note, text) if part)[: 2 * MAX_NOTE],
    )
