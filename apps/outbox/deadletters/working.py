"""Doing a triage, batch by batch: each batch is one transaction with its marks and one audit row.

So locks stay short, and work that is cut off anywhere has done whole batches and goes on where it was.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.dateparse import parse_datetime

from apps.audit.services import record
from apps.core.actor import Actor
from apps.outbox.deadletters.selection import Selection
from apps.outbox.models import DeadLetter, DeadLetterState, Triage, TriageMark, TriageState, TriageVerb

log = structlog.get_logger(__name__)

BATCH: Final = 5000
# A tick of the control queue works this long at most, so that the sweeps get their turn.
TICK_S: Final = 3.0
# What a verb overwrites, and undo gives back.
OVERWRITES: Final = {TriageVerb.ASSIGN: "assignee", TriageVerb.SNOOZE: "snoozed_until"}
ACTIONS: Final = {
    TriageVerb.ASSIGN: "deadletter.assigned",
    TriageVerb.NOTE: "deadletter.noted",
    TriageVerb.SNOOZE: "deadletter.snoozed",
    TriageVerb.DISCARD: "deadletter.discarded",
    TriageVerb.UNDO: "deadletter.undone",
}


def work(triage: Triage, *, seconds: float | None = None) -> Triage:
    """Go on with ``triage`` until it ends or about ``seconds`` are over (None: until it ends)."""
    ends = None if seconds is None else time.monotonic() + seconds
    moved = True
    while moved and (ends is None or time.monotonic() < ends):
        moved = step(triage.pk)
    return Triage.objects.get(pk=triage.pk)


def advance_all(seconds: float = TICK_S) -> int:
    """Go on with what requests left under way, a batch of each in turn. Returns how many batches were done."""
    ends, done = time.monotonic() + seconds, 0
    running = list(Triage.objects.filter(state=TriageState.RUNNING).order_by("id").values_list("id", flat=True))
    while running and time.monotonic() < ends:
        for triage_id in list(running):
            try:
                moved = step(triage_id)
            except DatabaseError:  # one must not hold up the others; the next tick tries it again
                log.exception("triage.step_failed", triage_id=triage_id)
                moved = False
            done += moved
            if not moved:
                running.remove(triage_id)
    return done


@transaction.atomic
def step(triage_id: int) -> bool:
    """One batch. False when it has ended, was stopped, or another process is at it."""
    skip = connection.features.has_select_for_update_skip_locked
    running = Triage.objects.filter(pk=triage_id, state=TriageState.RUNNING).select_related("undoes")
    triage = running.select_for_update(skip_locked=skip, of=("self",)).first()
    if triage is None:
        return False
    held = _hold(triage)
    if held:
        _apply(triage, held)
        _keep(triage, held)
        triage.reached, triage.done = held[-1][0], triage.done + len(held)
    if len(held) < BATCH:
        triage.state, triage.finished_at = TriageState.DONE, Now()
    triage.moved_at = Now()
    triage.save(update_fields=["reached", "done", "state", "finished_at", "moved_at"])
    return len(held) == BATCH


def letters_of(triage: Triage) -> QuerySet[DeadLetter]:
    """The open letters a triage means now. An undo means those that still are as the undone verb left them."""
    undone = triage.undoes
    if undone is None:
        return Selection.parse(triage.selection).queryset()
    letters = DeadLetter.objects.filter(state=DeadLetterState.OPEN, marks__triage_id=undone.pk)
    if undone.verb == TriageVerb.ASSIGN:
        return letters.filter(assignee=undone.assignee)
    return letters.filter(snoozed_until=undone.until) if undone.until else letters.filter(snoozed_until__isnull=True)


def _hold(triage: Triage) -> list[tuple[int, Any]]:
    """The next letters, locked, each with what it has now where that is overwritten."""
    letters = letters_of(triage).filter(pk__gt=triage.reached, pk__lte=triage.newest).order_by("pk")
    field = OVERWRITES.get(TriageVerb(_verb(triage)), "state")
    return list(letters.select_for_update(no_key=True).values_list("pk", field)[:BATCH])


def _verb(triage: Triage) -> str:
    return triage.undoes.verb if triage.undoes is not None else triage.verb


def _apply(triage: Triage, held: Sequence[tuple[int, Any]]) -> None:
    if triage.undoes is not None:
        _give_back(triage.undoes, [pk for pk, _ in held])
        return
    letters = DeadLetter.objects.filter(pk__in=[pk for pk, _ in held], state=DeadLetterState.OPEN)
    letters.update(**_changes(triage))


def _changes(triage: Triage) -> dict[str, Any]:
    if triage.verb == TriageVerb.ASSIGN:
        return {"assignee": triage.assignee}
    if triage.verb == TriageVerb.SNOOZE:
        return {"snoozed_until": triage.until}
    if triage.verb == TriageVerb.NOTE:
        return {"note": triage.text}
    closed = {"state": DeadLetterState.DISCARDED, "resolved_at": Now(), "note": triage.text}
    return closed | {"resolved_by": str(_actor(triage))[:200]}


def _give_back(undone: Triage, ids: Sequence[int]) -> None:
    before: dict[str, list[int]] = defaultdict(list)
    for letter, value in undone.marks.filter(letter_id__in=ids).values_list("letter_id", "before"):
        before[value].append(letter)
    field = OVERWRITES[TriageVerb(undone.verb)]
    for value, letters in before.items():
        given = parse_datetime(value) if field == "snoozed_until" and value else value
        DeadLetter.objects.filter(pk__in=letters, state=DeadLetterState.OPEN).update(
            **{field: (given or None) if field == "snoozed_until" else given}
        )


def _keep(triage: Triage, held: Sequence[tuple[int, Any]]) -> None:
    keeps = _verb(triage) in OVERWRITES
    TriageMark.objects.bulk_create(
        [TriageMark(triage=triage, letter_id=pk, before=_text(value) if keeps else "") for pk, value in held]
    )
    record(
        actor=_actor(triage),
        action=ACTIONS[TriageVerb(triage.verb)],
        target=f"dead letter {held[0][0]}" if len(held) == 1 else f"{len(held)} dead letters",
        after=_shown(triage) | {"first": held[0][0], "last": held[-1][0], "letters": len(held)},
        reason=triage.text if triage.verb != TriageVerb.NOTE else "",
    )


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value or "")


def _shown(triage: Triage) -> dict[str, Any]:
    shown: dict[str, Any] = {"triage": triage.pk, "selection": triage.selection}
    if triage.undoes is not None:
        return shown | {"undoes": triage.undoes.pk}
    return shown | {
        name: value for name, value in _changes(triage).items() if name not in ("resolved_at", "resolved_by")
    }


def _actor(triage: Triage) -> Actor:
    """Who pressed it, for the trail; what they may do was asked then."""
    return Actor(triage.actor_kind, triage.actor, ip=triage.ip)
