"""Operations on messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import Field, ValidationError

from apps.accounts.http import KEYS, KEYS_OR_SESSION, Caller, caller_of
from apps.core import actor as may
from apps.core.api_types import Cursor, Limit, OneLine, RowId, Time, with_errors
from apps.core.errors import Invalid, NotFound, PortalError
from apps.core.http import json_text
from apps.core.pagination import parse_cursor
from apps.outbox import actions, selectors
from apps.outbox.api.schemas import (
    AcceptedOut,
    BatchIn,
    BatchOut,
    MessageDetailOut,
    MessageIn,
    MessageOut,
    MessagePage,
    ReasonIn,
    Status,
)
from apps.outbox.api.shown import shown_detail, shown_message
from apps.outbox.api.states import breaker_state
from apps.outbox.models import Message
from apps.outbox.services import Accepted, enqueue, enqueue_many
from apps.services.policies import problems_of

router = Router(tags=["Messages"], auth=KEYS)

IDEMPOTENCY_KEY_HEADER: Final = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "schema": {"type": "string", "maxLength": 255},
    "description": "The same key with the same body is accepted once; may be given as idempotency_key in the body.",
}
REPLAYED_HEADER: Final = {
    "Idempotency-Replayed": {"schema": {"type": "string", "enum": ["true"]}, "description": "This is the first answer."}
}
Given = dict[str, Any]


@router.post(
    "",
    summary="Accept one message",
    operation_id="accept_message",
    response=with_errors({202: AcceptedOut, 200: AcceptedOut}, 404, 409, 413, 415),
    openapi_extra={"parameters": [IDEMPOTENCY_KEY_HEADER], "responses": {200: {"headers": REPLAYED_HEADER}}},
)
def accept_message(request: HttpRequest, body: MessageIn) -> HttpResponse:
    """202 once it is stored, whatever the state of its service. 200 when the same idempotency key came with
    the same content before; 409 while that first use is under way; 422 when the content differs.
    """
    caller = caller_of(request)
    caller.require(may.MESSAGES_WRITE)
    accepted = enqueue(**_complete(body, caller, request.headers.get("Idempotency-Key", "")))
    response = HttpResponse(
        json_text(_accepted(accepted)), status=200 if accepted.duplicate else 202, content_type="application/json"
    )
    if accepted.duplicate:
        response["Idempotency-Replayed"] = "true"
    return response


def _complete(body: MessageIn, caller: Caller, header_key: str) -> Given:
    """The fields of the body with what headers and the key add."""
    given = body.as_fields()
    if header_key and body.idempotency_key and header_key != body.idempotency_key:
        raise Invalid.field("idempotency_key", "differs from the header Idempotency-Key: send one, or the same twice")
    given["idempotency_key"] = body.idempotency_key or header_key
    given["tenant_id"] = caller.tenant(body.tenant_id)
    given["source"] = caller.source
    return given


def _accepted(accepted: Accepted) -> Given:
    return {
        "id": accepted.message_id,
        "status": str(accepted.status),
        "service": accepted.service,
        "breaker_state": breaker_state(accepted.service),
        "duplicate": accepted.duplicate,
    }


@router.post(
    "/batch",
    summary="Accept up to 1,000 messages",
    operation_id="accept_messages",
    response=with_errors({202: BatchOut, 207: BatchOut}, 413, 415),
)
def accept_messages(request: HttpRequest, body: BatchIn | list[dict[str, Any]]) -> HttpResponse:
    """One transaction, an answer per item in the order given: a wrong item does not stop the others.

    202 when every item was accepted (now or before), 207 when at least one was not. The body is
    `{"messages": [...]}` or the bare list; an idempotency key goes into the item.
    """
    caller = caller_of(request)
    caller.require(may.MESSAGES_WRITE)
    items = body.messages if isinstance(body, BatchIn) else body
    if not 1 <= len(items) <= 1000:
        raise Invalid.field("messages", "must hold 1 to 1000 messages")
    answers = [_answer(index, found) for index, found in enumerate(_accept_all(items, caller))]
    rejected = sum("error" in answer for answer in answers)
    duplicates = sum(bool(answer.get("duplicate")) for answer in answers)
    result = {
        "accepted": len(answers) - rejected - duplicates,
        "duplicates": duplicates,
        "rejected": rejected,
        "results": answers,
    }
    return HttpResponse(json_text(result), status=207 if rejected else 202, content_type="application/json")


def _accept_all(items: list[Given], caller: Caller) -> list[Accepted | PortalError]:
    checked = [_check_item(item, caller) for item in items]
    good = [found for found in checked if not isinstance(found, PortalError)]
    stored = iter(enqueue_many(good) if good else [])
    return [found if isinstance(found, PortalError) else next(stored) for found in checked]


def _check_item(item: Given, caller: Caller) -> Given | PortalError:
    try:
        return _complete(MessageIn.model_validate(item), caller, "")
    except ValidationError as error:
        return Invalid.fields(problems_of(error, ""))
    except PortalError as error:
        return error


def _answer(index: int, found: Accepted | PortalError) -> Given:
    if isinstance(found, PortalError):
        return {"index": index, **found.as_dict()}
    return {"index": index, **_accepted(found)}


@router.get(
    "",
    summary="List messages",
    operation_id="list_messages",
    response=with_errors({200: MessagePage}),
    auth=KEYS_OR_SESSION,
)
def list_messages(
    request: HttpRequest,
    status: Annotated[list[Status], Query(description="repeatable")] = [],  # noqa: B006  # ninja copies it
    service: Annotated[OneLine, Field(max_length=64)] = "",
    tenant_id: Annotated[OneLine, Field(max_length=64)] = "",
    recipient: Annotated[OneLine, Field(max_length=200, description="part of it; needs messages:reveal")] = "",
    ordering_key: Annotated[OneLine, Field(max_length=255)] = "",
    idempotency_key: Annotated[OneLine, Field(max_length=255)] = "",
    source: Annotated[OneLine, Field(max_length=100)] = "",
    replay_id: RowId | None = None,
    created_after: Time | None = None,
    created_before: Time | None = None,
    q: Annotated[OneLine, Field(max_length=200, description="number, wire id, idempotency key, or text")] = "",
    cursor: Cursor | None = None,
    limit: Limit = 50,
) -> Given:
    """Newest first. `next_cursor` continues behind the last row and stays right while rows arrive."""
    caller = caller_of(request)
    caller.require(may.MESSAGES_READ)
    if recipient or q:
        caller.require(may.MESSAGES_REVEAL)
    filters = selectors.MessageFilters(
        statuses=tuple(status),
        service=service,
        tenant_id=caller.tenant(tenant_id),
        recipient=recipient,
        ordering_key=ordering_key,
        idempotency_key=idempotency_key,
        source=source,
        replay_id=replay_id,
        created_after=created_after,
        created_before=created_before,
        query=q,
    )
    page = selectors.list_messages(filters, cursor=parse_cursor(cursor), limit=limit)
    return {
        "items": [shown_message(message, caller.actor) for message in page.items],
        "next_cursor": None if page.next_cursor is None else str(page.next_cursor),
    }


@router.get(
    "/{message_id}",
    summary="One message with its attempts",
    operation_id="get_message",
    response=with_errors({200: MessageDetailOut}, 404),
    auth=KEYS_OR_SESSION,
    by_alias=True,
)
def get_message(request: HttpRequest, message_id: RowId) -> Mapping[str, Any]:
    """With why it is where it is, every attempt, its dead letters and replays."""
    caller = caller_of(request)
    caller.require(may.MESSAGES_READ)
    _check_tenant(message_id, caller)
    return shown_detail(selectors.message_detail(message_id), caller.actor)


@router.post(
    "/{message_id}/cancel",
    summary="Cancel a waiting message",
    operation_id="cancel_message",
    response=with_errors({200: MessageOut}, 404, 409, 413, 415),
)
def cancel_message(request: HttpRequest, message_id: RowId, body: ReasonIn | None = None) -> Given:
    """409 when it is on its way or has ended."""
    caller = caller_of(request)
    _check_tenant(message_id, caller)
    reason = body.reason if body else ""
    return shown_message(actions.cancel(message_id=message_id, actor=caller.actor, reason=reason), caller.actor)


@router.post(
    "/{message_id}/retry",
    summary="Try a waiting message now",
    operation_id="retry_message",
    response=with_errors({200: MessageOut}, 404, 409, 413, 415),
)
def retry_message(request: HttpRequest, message_id: RowId) -> Given:
    """Drops its back-off and send_after. 409 when it does not wait; a dead letter is replayed instead."""
    caller = caller_of(request)
    _check_tenant(message_id, caller)
    return shown_message(actions.retry_now(message_id=message_id, actor=caller.actor), caller.actor)


def _check_tenant(message_id: int, caller: Caller) -> None:
    """Another tenant's message is not there for a key bound to one."""
    if not caller.bound_tenant:
        return
    if not Message.objects.filter(pk=message_id, tenant_id=caller.bound_tenant).exists():
        raise NotFound(f"There is no message {message_id}. It may have been pruned.")
