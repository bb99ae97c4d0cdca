"""Operations that triage dead letters: assign, note, snooze, discard."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field

from apps.accounts.http import KEYS, caller_of
from apps.core import actor as may
from apps.core.api_types import Body, OneLine, RowId, Text, Time, with_errors
from apps.outbox.api.deadletters import Count, FilterIn, for_tenant
from apps.outbox.deadletters import services
from apps.outbox.models import Triage, TriageState

# A request works this long at most; the control queue does the rest.
INLINE_S: Final = 5.0

triage_router = Router(tags=["Dead letters"], auth=KEYS)


class SelectedIn(Body):
    """Which dead letters: `ids`, or `cause` and/or `filter`, or `everything`."""

    ids: list[RowId] | None = Field(None, min_length=1, max_length=10_000)
    cause: OneLine = Field("", max_length=16)
    filter: FilterIn | None = None
    everything: bool = False

    def selection(self) -> dict[str, Any]:
        """As apps.outbox.deadletters.selection takes it."""
        chosen = self.filter.model_dump(exclude_unset=True) if self.filter else {}
        for name in ("ids", "cause", "everything"):
            if getattr(self, name):
                chosen[name] = getattr(self, name)
        return chosen


class AssignIn(SelectedIn):
    assignee: OneLine = Field(max_length=200, description="who looks after them; empty for nobody")


class NoteIn(SelectedIn):
    text: Text = Field(min_length=1, max_length=2000)


class SnoozeIn(SelectedIn):
    until: Time | None = Field(description="out of sight until then; null brings them back")


class DiscardIn(SelectedIn):
    reason: Text = Field(min_length=1, max_length=2000)


class TriageOut(Schema):
    """What was done. While `state` is running, the control worker goes on with the rest."""

    id: RowId
    verb: Literal["assign", "note", "snooze", "discard", "undo"]
    state: Literal["running", "done", "stopped"]
    total: Count = Field(description="open letters that were meant")
    done: Count
    created_at: datetime
    finished_at: datetime | None


ANSWERS = with_errors({200: TriageOut, 202: TriageOut}, 409, 413, 415)


@triage_router.post("/assign", summary="Assign dead letters", operation_id="assign_dead_letters", response=ANSWERS)
def assign(request: HttpRequest, body: AssignIn) -> Any:
    """Says who looks after the open letters it means now. 202 when there are so many that the rest follows."""
    return _done(request, "assign", body, assignee=body.assignee)


@triage_router.post("/note", summary="Write a note on dead letters", operation_id="note_dead_letters", response=ANSWERS)
def note(request: HttpRequest, body: NoteIn) -> Any:
    """The newest note is shown; older ones stay in the history of each letter."""
    return _done(request, "note", body, text=body.text)


@triage_router.post("/snooze", summary="Snooze dead letters", operation_id="snooze_dead_letters", response=ANSWERS)
def snooze(request: HttpRequest, body: SnoozeIn) -> Any:
    """They wake by themselves, and can be replayed meanwhile."""
    return _done(request, "snooze", body, until=body.until)


@triage_router.post("/discard", summary="Discard dead letters", operation_id="discard_dead_letters", response=ANSWERS)
def discard(request: HttpRequest, body: DiscardIn) -> Any:
    """Closes open letters without sending them. This cannot be undone."""
    return _done(request, "discard", body, text=body.reason)


def _done(request: HttpRequest, verb: str, body: SelectedIn, **fields: Any) -> Any:
    caller = caller_of(request)
    caller.require(may.DEADLETTERS_TRIAGE)
    chosen = for_tenant(body.selection(), caller)
    made = services.begin(verb=verb, actor=caller.actor, selection=chosen, seconds=INLINE_S, **fields)
    return Status(202 if made.state == TriageState.RUNNING else 200, _shown(made))


def _shown(made: Triage) -> dict[str, Any]:
    names = ("id", "verb", "state", "total", "done", "created_at", "finished_at")
    return {name: getattr(made, name) for name in names}
