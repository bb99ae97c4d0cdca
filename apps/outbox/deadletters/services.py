"""Triage of dead letters: what a person presses. ``working`` does it in batches, here or in the control queue.

Each verb touches open letters only, those that were there when it was decided, and is in the audit trail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Count, Max, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.audit.services import record
from apps.core.actor import DEADLETTERS_TRIAGE, Actor, require
from apps.core.clock import now
from apps.core.errors import Conflict, Invalid, NotFound
from apps.outbox.deadletters.selection import Selection, select
from apps.outbox.deadletters.working import letters_of, work
from apps.outbox.models import DeadLetter, Triage, TriageState, TriageVerb

log = structlog.get_logger(__name__)

MAX_NOTE: Final = 2000
UNDOABLE: Final = (TriageVerb.ASSIGN, TriageVerb.SNOOZE)


def begin(
    *,
    verb: str,
    actor: Actor,
    selection: Selection | Mapping[str, Any],
    text: str = "",
    assignee: str = "",
    until: datetime | None = None,
    token: str = "",
    seconds: float | None = None,
) -> Triage:
    """Do ``verb`` to the open letters ``selection`` means now, for at most about ``seconds``; the control queue
    does the rest. ``text`` is the note, or why they are discarded. ``token`` is the form it came from.

    Raises :class:`Invalid`, and :class:`Conflict` when no letter is open or the form was sent before.
    """
    require(actor, DEADLETTERS_TRIAGE)
    chosen = select(selection)
    fields = _checked(verb, text, assignee, until)
    found = _measured(chosen.queryset())
    if not found["total"]:
        raise Conflict(_nothing_open(chosen))
    triage = _made(actor, token, verb=verb, selection=chosen.as_dict(), **fields, **found)
    return work(triage, seconds=seconds)


def discard(
    *,
    actor: Actor,
    reason: str,
    ids: Sequence[int] = (),
    cause: str = "",
    filters: Mapping[str, Any] | None = None,
) -> int:
    """Close open letters without sending them. Their messages stay as they are, never sent.

    ``reason`` is required. Letters that die meanwhile are not touched. Returns how many were discarded;
    raises :class:`Invalid`, and :class:`Conflict` when none of them is open.
    """
    chosen = _chosen(ids, cause, filters)
    return begin(verb=TriageVerb.DISCARD, actor=actor, selection=chosen, text=reason).done


def assign(
    *, actor: Actor, assignee: str, ids: Sequence[int] = (), cause: str = "", filters: Mapping[str, Any] | None = None
) -> int:
    """Say who looks after these letters; an empty ``assignee`` says nobody. Returns how many."""
    chosen = _chosen(ids, cause, filters)
    return begin(verb=TriageVerb.ASSIGN, actor=actor, selection=chosen, assignee=assignee).done


def note(
    *, actor: Actor, text: str, ids: Sequence[int] = (), cause: str = "", filters: Mapping[str, Any] | None = None
) -> int:
    """Write a note on these letters. Older notes stay in their history; the newest is the one they show."""
    chosen = _chosen(ids, cause, filters)
    return begin(verb=TriageVerb.NOTE, actor=actor, selection=chosen, text=text).done


def snooze(
    *,
    actor: Actor,
    until: datetime | None,
    ids: Sequence[int] = (),
    cause: str = "",
    filters: Mapping[str, Any] | None = None,
) -> int:
    """Put these letters out of sight until ``until``; None brings them back. They can be replayed meanwhile."""
    chosen = _chosen(ids, cause, filters)
    return begin(verb=TriageVerb.SNOOZE, actor=actor, selection=chosen, until=until).done


def undo(*, triage_id: int, actor: Actor, seconds: float | None = None) -> Triage:
    """Give back what letters had before an assignment or a snooze, wherever nobody has changed it since."""
    require(actor, DEADLETTERS_TRIAGE)
    with transaction.atomic():
        undone = _locked(triage_id)
        if undone.verb not in UNDOABLE or undone.state == TriageState.RUNNING:
            raise Conflict(_("This cannot be undone: only an assignment or a snooze that has ended can be."))
        if undone.undone_by.exists():
            raise Conflict(_("This was undone already."))
        found = _measured(letters_of(Triage(verb=TriageVerb.UNDO, undoes=undone)))
        if not found["total"]:
            raise Conflict(_("Nothing is left to undo: these letters were changed or closed since."))
        triage = _made(actor, "", verb=TriageVerb.UNDO, selection=undone.selection, undoes=undone, **found)
    return work(triage, seconds=seconds)


def stop(*, triage_id: int, actor: Actor) -> Triage:
    """End a triage under way. What it has done stays done."""
    require(actor, DEADLETTERS_TRIAGE)
    with transaction.atomic():
        triage = _locked(triage_id)
        if triage.state != TriageState.RUNNING:
            raise Conflict(_("This has ended already: there is nothing to stop."))
        triage.state, triage.finished_at = TriageState.STOPPED, Now()
        triage.save(update_fields=["state", "finished_at"])
        record(
            actor=actor,
            action="deadletter.triage_stopped",
            target=f"triage {triage_id}",
            after={"verb": triage.verb, "done": triage.done, "total": triage.total},
        )
    return Triage.objects.get(pk=triage_id)


def _locked(triage_id: int) -> Triage:
    triage = Triage.objects.select_for_update().filter(pk=triage_id).first()
    if triage is None:
        raise NotFound(_("There is no triage {id}.").format(id=triage_id))
    return triage


def _made(actor: Actor, token: str, **fields: Any) -> Triage:
    who = {"actor_kind": actor.kind, "actor": actor.name[:200], "ip": actor.ip[:64]}
    try:
        with transaction.atomic():
            made = Triage.objects.create(token=token[:64] or None, state=TriageState.RUNNING, **who, **fields)
    except IntegrityError:
        earlier = Triage.objects.filter(token=token[:64]).first() if token else None
        if earlier is None:
            raise
        text = _("This was pressed already, and is being done once. See what it did before pressing again.")
        raise Conflict(text, detail={"triage": earlier.pk}) from None
    log.info("deadletter.triage_began", triage_id=made.pk, verb=made.verb, letters=made.total, actor=str(actor))
    return made


def _measured(letters: QuerySet[DeadLetter]) -> dict[str, int]:
    found = letters.order_by().aggregate(total=Count("id"), newest=Max("id"))
    return {"total": found["total"], "newest": found["newest"] or 0}


def _checked(verb: str, text: str, assignee: str, until: datetime | None) -> dict[str, Any]:
    if verb == TriageVerb.DISCARD:
        return {"text": _required(text, "reason")}
    if verb == TriageVerb.NOTE:
        return {"text": _required(text, "text")}
    if verb == TriageVerb.ASSIGN:
        if len(assignee) > 200 or not assignee.isprintable():
            raise Invalid.field("assignee", _("must be one line of at most 200 characters"))
        return {"assignee": assignee.strip(), "text": _clean(text, "text")}
    if verb == TriageVerb.SNOOZE:
        if until is not None and (until.tzinfo is None or until <= now()):
            raise Invalid.field("until", _("must be a time with its zone, in the future"))
        return {"until": until, "text": _clean(text, "text")}
    raise Invalid.field("verb", _("must be one of {words}").format(words="assign, note, snooze, discard"))


def _chosen(ids: Sequence[int], cause: str, filters: Mapping[str, Any] | None) -> Selection:
    given: dict[str, Any] = dict(filters or {})
    if ids:
        given["ids"] = list(ids)
    if cause:
        given["cause"] = cause
    return select(given)


def _required(text: str, field: str) -> str:
    clean = _clean(text, field)
    if not clean:
        raise Invalid.field(field, _("is required: say why, for whoever looks at this later"))
    return clean


def _clean(text: str, field: str) -> str:
    clean = text.replace("\x00", "").strip()
    if len(clean) > MAX_NOTE:
        raise Invalid.field(field, _("is longer than {most} characters").format(most=MAX_NOTE))
    return clean


def _nothing_open(selection: Selection) -> str:
    if selection.ids:
        states = dict(DeadLetter.objects.filter(pk__in=selection.ids[:20]).values_list("pk", "state"))
        known = ", ".join(f"{pk} is {states.get(pk, 'unknown')}" for pk in selection.ids[:20])
        return _("None of these dead letters is open ({known}), so there is nothing to do.").format(known=known)
    return _("No open dead letter matches {selection}.").format(selection=selection)
