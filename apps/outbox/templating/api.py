"""Operations on message templates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from apps.accounts.http import KEYS, KEYS_OR_SESSION, caller_of
from apps.core import actor as may
from apps.core.api_types import Body, Limit, OneLine, Text, with_errors
from apps.outbox.rendering import MAX_TEMPLATE_CHARS
from apps.outbox.templating import selectors
from apps.outbox.templating.inspecting import CONTENT_TYPES
from apps.outbox.templating.services import MAX_WORDS, NewVersion, activate, line_id, save_version
from apps.outbox.templating.shown import shown_line, shown_name, shown_version
from apps.outbox.templating.tags import DEFAULT_LANGUAGE, MAX_NAME, MAX_TAG

router = Router(tags=["Templates"], auth=KEYS_OR_SESSION)

Channel = Literal["http", "email", "whatsapp", "slack", "telegram", "pagerduty", "plane"]
TemplateName = Annotated[OneLine, Field(min_length=1, max_length=MAX_NAME)]
Tag = Annotated[OneLine, Field(max_length=MAX_TAG, description="a language tag such as en, id or pt-BR")]
MAX_VERSIONS = 50
if set(CONTENT_TYPES) != set(Channel.__args__):  # type: ignore[attr-defined]
    raise ImportError("apps.outbox.templating.api no longer names every channel")


class LineOut(Schema):
    """One channel and language of a template."""

    channel: str = Field(description="empty: of every channel, written before templates had one")
    language: str
    active_version: int | None = Field(description="what a message takes now; null when there are drafts only")
    newest_version: int
    archived_at: datetime | None
    changed_at: datetime
    changed_by: str


class TemplateOut(Schema):
    name: str
    lines: list[LineOut]
    messages_last_7_days: int = Field(description="up to 10,001, which means more than 10,000")


class TemplateList(Schema):
    items: list[TemplateOut]
    next_cursor: str | None


class VersionOut(Schema):
    id: int
    version: int
    active: bool
    draft: bool
    subject: str
    body: str
    content_type: str
    description: str
    sample_data: dict[str, Any]
    required_variables: list[str] = Field(description="what body_data must hold, as dotted paths")
    optional_variables: list[str]
    messages: int = Field(description="that took this version, up to 10,001, which means more than 10,000")
    created_at: datetime
    created_by: str


class LineDetailOut(LineOut):
    versions: list[VersionOut] = Field(description=f"newest first, {MAX_VERSIONS} at most")


class TemplateDetailOut(Schema):
    name: str
    lines: list[LineDetailOut]


class VersionIn(Body):
    """The next version of a template for one channel and language."""

    channel: Channel
    language: Tag = DEFAULT_LANGUAGE
    subject: OneLine = Field("", max_length=MAX_WORDS, description="a template too; http has none")
    body: Text = Field(min_length=1, max_length=MAX_TEMPLATE_CHARS)
    content_type: OneLine = Field("", max_length=100, description="empty: what the channel sends most")
    description: Text = Field("", max_length=MAX_WORDS)
    sample_data: dict[str, Any] = Field(default_factory=dict, description="what previews and checks are made with")
    draft: bool = Field(False, description="keep it without using it")
    reason: Text = Field("", max_length=MAX_WORDS, description="why, for the audit trail")
    after_version: int | None = Field(
        None, ge=0, le=2**31 - 1, description="409 unless this is the newest version; 0: none"
    )


class ActivateIn(Body):
    channel: Literal["", "http", "email", "whatsapp", "slack", "telegram", "pagerduty", "plane"]
    language: Tag = DEFAULT_LANGUAGE
    version: int = Field(ge=1, le=2**31 - 1)
    reason: Text = Field(min_length=1, max_length=MAX_WORDS)


@router.get("", summary="List templates", operation_id="list_templates", response=with_errors({200: TemplateList}))
def templates(
    request: HttpRequest,
    channel: Channel | None = None,
    language: Tag = "",
    query: Annotated[OneLine, Field(max_length=200, description="part of a name or description")] = "",
    cursor: Annotated[OneLine, Field(max_length=MAX_NAME, description="`next_cursor` of the page before")] = "",
    limit: Limit = selectors.NAMES_PER_PAGE,
) -> dict[str, Any]:
    """Names in their order, each with its channels and languages. Archived lines are told by archived_at."""
    _reader(request)
    page = selectors.list_templates(query=query, channel=channel or "", language=language, cursor=cursor, limit=limit)
    return {"items": [shown_name(found) for found in page.items], "next_cursor": page.next_cursor}


@router.get(
    "/{name}",
    summary="One template",
    operation_id="get_template",
    response=with_errors({200: TemplateDetailOut}, 404),
)
def template(request: HttpRequest, name: TemplateName) -> dict[str, Any]:
    """Its channels and languages with their versions: text, variables, and how many messages took each."""
    _reader(request)
    return {"name": name, "lines": [_detail(line) for line in selectors.get_template(name)]}


def _reader(request: HttpRequest) -> None:
    """Templates are the same for all tenants and hold nobody's data, so a tenant's key may read them."""
    caller_of(request).require(may.MESSAGES_READ)


def _detail(line: selectors.Line) -> dict[str, Any]:
    rows = line.versions[:MAX_VERSIONS]
    usage = selectors.usage_of([row.pk for row in rows])
    versions = [shown_version(row, in_use=row == line.using, usage=usage.get(row.pk)) for row in selectors.whole(rows)]
    return shown_line(line) | {"versions": versions}


@router.post(
    "/{name}",
    auth=KEYS,
    summary="Write a version",
    operation_id="write_template",
    response=with_errors({201: VersionOut}, 409, 413, 415),
)
def write(request: HttpRequest, name: TemplateName, body: VersionIn) -> Status[dict[str, Any]]:
    """The next version; messages accepted from now on take it, unless it is a draft. What cannot be rendered with
    its sample data is refused. Needs the scope templates:edit.
    """
    caller = caller_of(request)
    caller.require(may.TEMPLATES_EDIT)
    caller.require_all_tenants("a template")
    saved = save_version(
        line=line_id(name, body.channel, body.language),
        version=NewVersion(
            body=body.body,
            subject=body.subject,
            content_type=body.content_type,
            description=body.description,
            sample_data=body.sample_data,
        ),
        actor=caller.actor,
        reason=body.reason,
        draft=body.draft,
        seen_version=body.after_version,
    )
    saved.refresh_from_db()
    return Status(201, shown_version(saved, in_use=saved.active))


@router.post(
    "/{name}/activate",
    auth=KEYS,
    summary="Use another version",
    operation_id="activate_template",
    response=with_errors({200: LineOut}, 404, 409, 413, 415),
)
def use(request: HttpRequest, name: TemplateName, body: ActivateIn) -> dict[str, Any]:
    """Messages accepted from now on take this version; those accepted before keep theirs."""
    caller = caller_of(request)
    caller.require(may.TEMPLATES_EDIT)
    caller.require_all_tenants("a template")
    line = selectors.get_line(selectors.get_template(name), body.channel, body.language)
    activate(line=line.id, version=body.version, actor=caller.actor, reason=body.reason)
    return shown_line(selectors.get_line(selectors.get_template(name), body.channel, body.language))
