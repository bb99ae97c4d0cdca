"""Operations on dead letters and replays."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field

from apps.accounts.http import KEYS, KEYS_OR_SESSION, Caller, caller_of
from apps.core import actor as may
from apps.core.api_types import Body, Cursor, Limit, OneLine, RowId, Text, Time, with_errors
from apps.core.errors import Invalid, NotFound
from apps.core.pagination import parse_cursor
from apps.outbox import selectors
from apps.outbox.api.shown import shown_cause, shown_letter, shown_replay
from apps.outbox.models import DeadLetter, Replay
from apps.outbox.replays import services as replays

letters_router = Router(tags=["Dead letters"], auth=KEYS_OR_SESSION)
replays_router = Router(tags=["Replays"], auth=KEYS)

Reason = Literal["permanent", "exhausted", "template", "worker_lost", "ordering", "configuration"]
LetterState = Literal["open", "replayed", "discarded"]
ReplayState = Literal["preparing", "canary", "running", "paused", "stopped", "done", "cancelled"]
Count = Annotated[int, Field(ge=0)]


class LetterOut(Schema):
    """A message that will not be tried again on its own."""

    id: RowId
    message_id: RowId
    service: str
    tenant_id: str
    cause: str = Field(description="fingerprint: letters with the same one died of the same cause")
    reason: Reason
    status_code: int | None
    error_class: str
    error: str
    attempts: int
    ambiguous: bool = Field(description="the last attempt may have arrived")
    state: LetterState
    replay_id: int | None
    died_at: datetime
    resolved_at: datetime | None
    resolved_by: str
    note: str
    assignee: str
    snoozed_until: datetime | None


class LetterPage(Schema):
    items: list[LetterOut]
    next_cursor: str | None


class CauseOut(Schema):
    """Open letters that died of the same cause. `trend` is deaths per 5 minutes over the last hour."""

    fingerprint: str
    service: str
    error_class: str
    status_code: int | None
    message: str
    letters: Count
    tenants: Count
    ambiguous: Count
    snoozed: Count
    first_seen: datetime
    last_seen: datetime
    known_since: datetime
    trend: list[int]
    sample: LetterOut


class CauseList(Schema):
    items: list[CauseOut]


@letters_router.get(
    "", summary="List dead letters", operation_id="list_dead_letters", response=with_errors({200: LetterPage})
)
def list_dead_letters(
    request: HttpRequest,
    state: LetterState | Literal["all"] = "open",
    service: Annotated[OneLine, Field(max_length=64)] = "",
    cause: Annotated[OneLine, Field(max_length=16)] = "",
    tenant_id: Annotated[OneLine, Field(max_length=64)] = "",
    reason: Reason | None = None,
    status_code: Annotated[int | None, Field(ge=0, le=99_999)] = None,
    replay_id: RowId | None = None,
    message_id: RowId | None = None,
    cursor: Cursor | None = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Newest first; open ones unless another state is asked for."""
    caller = caller_of(request)
    caller.require(may.MESSAGES_READ)
    filters = selectors.LetterFilters(
        state="" if state == "all" else state,
        service=service,
        cause=cause,
        tenant_id=caller.tenant(tenant_id),
        reason=reason or "",
        status_code=status_code,
        replay_id=replay_id,
        message_id=message_id,
    )
    page = selectors.list_dead_letters(filters, cursor=parse_cursor(cursor), limit=limit)
    return {
        "items": [shown_letter(letter, caller.actor) for letter in page.items],
        "next_cursor": None if page.next_cursor is None else str(page.next_cursor),
    }


@letters_router.get(
    "/causes",
    summary="Dead letters by cause",
    operation_id="list_dead_letter_causes",
    response=with_errors({200: CauseList}),
)
def list_causes(
    request: HttpRequest,
    service: Annotated[OneLine, Field(max_length=64)] = "",
    tenant_id: Annotated[OneLine, Field(max_length=64)] = "",
    limit: Limit = 100,
) -> dict[str, Any]:
    """Open letters grouped by cause, the largest group first."""
    caller = caller_of(request)
    caller.require(may.MESSAGES_READ)
    found = selectors.causes(service=service, tenant_id=caller.tenant(tenant_id), limit=limit)
    return {"items": [shown_cause(cause, caller.actor) for cause in found]}


# --- replays -------------------------------------------------------------------------------------


class FilterIn(Body):
    """Open letters that match all that is given."""

    service: OneLine = Field("", max_length=64)
    tenant_id: OneLine | None = Field(None, max_length=64)
    reason: Reason | None = None
    status_code: int | None = Field(None, ge=0, le=99_999)
    died_after: Time | None = None
    died_before: Time | None = None
    assignee: OneLine = Field("", max_length=200)
    unassigned: bool = False
    snoozed: bool | None = None
    text: OneLine = Field("", max_length=200, description="words of the cause")


class ReplayIn(Body):
    """Which dead letters (`ids`, or `cause` and/or `filter`, or `everything`), and how carefully."""

    ids: list[RowId] | None = Field(None, min_length=1, max_length=10_000)
    cause: OneLine = Field("", max_length=16)
    filter: FilterIn | None = None
    everything: bool = False
    reason: Text = Field("", max_length=2000)
    canary: int = Field(0, ge=0, le=10_000, description="replay so many first; the rest only if all of them are sent")
    per_second: float | None = Field(None, ge=0.01, le=100_000)
    stop_above_percent: float = Field(20.0, ge=0, le=100, description="stop by itself above so many failures")

    def selection(self) -> dict[str, Any]:
        """As apps.outbox.deadletters.selection takes it."""
        chosen = self.filter.model_dump(exclude_unset=True) if self.filter else {}
        for name in ("ids", "cause", "everything"):
            if getattr(self, name):
                chosen[name] = getattr(self, name)
        return chosen


class ReplayOut(Schema):
    id: RowId
    state: ReplayState
    selection: dict[str, Any]
    reason: str
    created_by: str
    canary: Count
    per_second: float | None
    stop_above_percent: float
    total: Count = Field(description="letters in it")
    waiting: Count
    released: Count = Field(description="put back and not settled yet")
    sent: Count
    failed: Count
    skipped: Count
    done_percent: float
    failed_percent: float
    measured_per_second: float
    seconds_left: float | None
    waits_for: list[str]
    actions: list[Literal["pause", "resume", "cancel"]] = Field(description="what may be done to it now")
    note: str
    created_at: datetime
    finished_at: datetime | None


class StepIn(Body):
    reason: Text = Field("", max_length=2000)


class ResumeIn(StepIn):
    stop_above_percent: float | None = Field(None, ge=0, le=100)


CHANGED = with_errors({200: ReplayOut}, 404, 409, 413, 415)


@replays_router.post(
    "",
    summary="Replay dead letters",
    operation_id="create_replay",
    response=with_errors({201: ReplayOut}, 404, 409, 413, 415),
)
def create_replay(request: HttpRequest, body: ReplayIn) -> Any:
    """Puts the open letters it means now back, each once, however many people press at the same time."""
    caller = caller_of(request)
    caller.require(may.REPLAYS_RUN)
    replay = replays.create_replay(
        selection=for_tenant(body.selection(), caller),
        actor=caller.actor,
        reason=body.reason,
        canary=body.canary,
        per_second=body.per_second,
        stop_above_percent=body.stop_above_percent,
    )
    return Status(201, _shown(replay))


def for_tenant(selection: dict[str, Any], caller: Caller) -> dict[str, Any]:
    if not caller.bound_tenant:
        return selection
    if "ids" in selection:
        own = DeadLetter.objects.filter(pk__in=selection["ids"], tenant_id=caller.bound_tenant).count()
        if own != len(set(selection["ids"])):
            raise Invalid.field("ids", f"holds dead letters that are not of the tenant {caller.bound_tenant!r}")
        return selection
    selection.pop("everything", None)
    return selection | {"tenant_id": caller.tenant(selection.get("tenant_id") or "")}


@replays_router.get(
    "/{replay_id}",
    summary="A replay and how far it is",
    operation_id="get_replay",
    response=with_errors({200: ReplayOut}, 404),
    auth=KEYS_OR_SESSION,
)
def get_replay(request: HttpRequest, replay_id: RowId) -> dict[str, Any]:
    """Counters are at most a second old."""
    caller = caller_of(request)
    caller.require(may.MESSAGES_READ)
    return _shown(_own(replay_id, caller))


@replays_router.post("/{replay_id}/pause", summary="Pause a replay", operation_id="pause_replay", response=CHANGED)
def pause_replay(request: HttpRequest, replay_id: RowId, body: StepIn | None = None) -> dict[str, Any]:
    """Puts nothing more back for now. What was put back already goes on."""
    caller = caller_of(request)
    _own(replay_id, caller)
    return _shown(replays.pause(replay_id=replay_id, actor=caller.actor, reason=body.reason if body else ""))


@replays_router.post("/{replay_id}/resume", summary="Resume a replay", operation_id="resume_replay", response=CHANGED)
def resume_replay(request: HttpRequest, replay_id: RowId, body: ResumeIn | None = None) -> dict[str, Any]:
    """One that stopped by itself needs a stop_above_percent above what failed so far."""
    caller = caller_of(request)
    _own(replay_id, caller)
    given = body or ResumeIn.model_validate({})
    changed = replays.resume(
        replay_id=replay_id, actor=caller.actor, reason=given.reason, stop_above_percent=given.stop_above_percent
    )
    return _shown(changed)


@replays_router.post("/{replay_id}/cancel", summary="Cancel a replay", operation_id="cancel_replay", response=CHANGED)
def cancel_replay(request: HttpRequest, replay_id: RowId, body: StepIn | None = None) -> dict[str, Any]:
    """Gives the waiting letters back, open as they were."""
    caller = caller_of(request)
    _own(replay_id, caller)
    return _shown(replays.cancel(replay_id=replay_id, actor=caller.actor, reason=body.reason if body else ""))


def _own(replay_id: int, caller: Caller) -> Replay:
    """A tenant's key sees the replays it made itself."""
    replay = selectors.get_replay(replay_id)
    if caller.bound_tenant and replay.created_by != str(caller.actor):
        raise NotFound(f"There is no replay {replay_id}.")
    return replay


def _shown(replay: Replay) -> dict[str, Any]:
    return shown_replay(selectors.progress(replay))
