"""Triage of dead letters. Each verb touches open letters only, in batches, and is in the audit trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from apps.audit.services import record
from apps.core.actor import DEADLETTERS_TRIAGE, Actor, require
from apps.core.clock import now
from apps.core.errors import Conflict, Invalid
from apps.outbox.deadletters.selection import Selection, select
from apps.outbox.models import DeadLetter, DeadLetterState

log = structlog.get_logger(__name__)

# One transaction and one audit row each: locks stay short, and work that is cut off is done up to there.
BATCH: Final = 5000
MAX_NOTE: Final = 2000


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
    require(actor, DEADLETTERS_TRIAGE)
    changes = {
        "state": DeadLetterState.DISCARDED,
        "resolved_at": Now(),
        "resolved_by": str(actor)[:200],
        "note": _required(reason, "reason"),
    }
    return _triage(_chosen(ids, cause, filters), changes, actor, "deadletter.discarded", reason)


def assign(
    *, actor: Actor, assignee: str, ids: Sequence[int] = (), cause: str = "", filters: Mapping[str, Any] | None = None
) -> int:
    """Say who looks after these letters; an empty ``assignee`` says nobody. Returns how many."""
    require(actor, DEADLETTERS_TRIAGE)
    if len(assignee) > 200 or not assignee.isprintable():
        raise Invalid.field("assignee", "must be one line of at most 200 characters")
    return _triage(_chosen(ids, cause, filters), {"assignee": assignee}, actor, "deadletter.assigned")


def note(
    *, actor: Actor, text: str, ids: Sequence[int] = (), cause: str = "", filters: Mapping[str, Any] | None = None
) -> int:
    """Write a note on these letters in place of the one they have. Returns how many."""
    require(actor, DEADLETTERS_TRIAGE)
    clean = _required(text, "text")
    return _triage(_chosen(ids, cause, filters), {"note": clean}, actor, "deadletter.noted")


def snooze(
    *,
    actor: Actor,
    until: datetime | None,
    ids: Sequence[int] = (),
    cause: str = "",
    filters: Mapping[str, Any] | None = None,
) -> int:
    """Put these letters out of sight until ``until``; None brings them back. They can be replayed meanwhile."""
    require(actor, DEADLETTERS_TRIAGE)
    if until is not None and (until.tzinfo is None or until <= now()):
        raise Invalid.field("until", "must be a time with its zone, in the future")
    return _triage(_chosen(ids, cause, filters), {"snoozed_until": until}, actor, "deadletter.snoozed")


def _chosen(ids: Sequence[int], cause: str, filters: Mapping[str, Any] | None) -> Selection:
    given: dict[str, Any] = dict(filters or {})
    if ids:
        given["ids"] = list(ids)
    if cause:
        given["cause"] = cause
    return select(given)


def _required(text: str, field: str) -> str:
    clean = text.replace("\x00", "").strip()
    if not clean:
        raise Invalid.field(field, "is required: say why, for whoever looks at this later")
    if len(clean) > MAX_NOTE:
        raise Invalid.field(field, f"is longer than {MAX_NOTE} characters")
    return clean


def _triage(selection: Selection, changes: dict[str, Any], actor: Actor, action: str, reason: str = "") -> int:
    newest = selection.queryset().aggregate(newest=Max("id"))["newest"]
    if newest is None:
        raise Conflict(_nothing_open(selection))
    done, after = 0, 0
    while True:
        ids = _triage_batch(selection, changes, (after, newest), actor, action, reason)
        if not ids:
            break
        done, after = done + len(ids), ids[-1]
    log.info(action, selection=str(selection), letters=done, actor=str(actor))
    return done


@transaction.atomic
def _triage_batch(
    selection: Selection, changes: dict[str, Any], between: tuple[int, int], actor: Actor, action: str, reason: str
) -> list[int]:
    after, newest = between
    rows = selection.queryset().filter(pk__gt=after, pk__lte=newest).order_by("pk").select_for_update(no_key=True)
    ids = list(rows.values_list("pk", flat=True)[:BATCH])
    if ids:
        DeadLetter.objects.filter(pk__in=ids, state=DeadLetterState.OPEN).update(**changes)
        shown = {name: value for name, value in changes.items() if name not in ("resolved_at", "resolved_by")}
        record(
            actor=actor,
            action=action,
            target=f"dead letter {ids[0]}" if len(ids) == 1 else f"{len(ids)} dead letters",
            after={**shown, "selection": selection.as_dict(), "first": ids[0], "last": ids[-1], "letters": len(ids)},
            reason=reason,
        )
    return ids


def _nothing_open(selection: Selection) -> str:
    if selection.ids:
        states = dict(DeadLetter.objects.filter(pk__in=selection.ids[:20]).values_list("pk", "state"))
        known = ", ".join(f"{pk} is {states.get(pk, 'unknown')}" for pk in selection.ids[:20])
        return f"None of these dead letters is open ({known}), so there is nothing to do."
    return f"No open dead letter matches {selection}."
