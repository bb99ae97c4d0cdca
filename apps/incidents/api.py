"""Operations on incidents: a program may open one, say how it stands, and resolve it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field

from apps.accounts.http import KEYS, KEYS_OR_SESSION, caller_of
from apps.core import actor as may
from apps.core.api_types import Body, Cursor, Limit, OneLine, RowId, ServiceName, Text, Time, with_errors
from apps.core.pagination import parse_cursor
from apps.incidents import services
from apps.incidents.models import Incident, StatusUpdate
from apps.incidents.selectors import IncidentFilters, get_incident, list_incidents

router = Router(tags=["Incidents"], auth=KEYS_OR_SESSION)

Severity = Literal["sev1", "sev2", "sev3", "sev4"]
State = Literal["investigating", "identified", "monitoring", "resolved", "merged"]
OpenState = Literal["investigating", "identified", "monitoring"]
Kind = Literal["opened", "said", "severity", "role", "started", "took_in", "merged", "resolved", "reopened"]
ALL_TENANTS = "an incident"


class IncidentOut(Schema):
    """`started_at` is when it began to hurt, `detected_at` when the portal first knew, `acknowledged_at` when the first
    person was at it.
    """

    id: RowId
    title: str
    summary: str
    severity: Severity
    state: State
    origin: Literal["hand", "alerts", "rule"]
    rule: str | None
    started_at: datetime
    detected_at: datetime
    acknowledged_at: datetime | None
    mitigated_at: datetime | None
    resolved_at: datetime | None
    reopened: Annotated[int, Field(ge=0)]
    merged_into: int | None
    created_by: str


class UpdateOut(Schema):
    id: RowId
    at: datetime
    kind: Kind
    state: State
    text: str
    actor: str


class IncidentDetail(IncidentOut):
    """`alerts` are numbers of linked alerts; `roles` who does what; `updates` the newest hundred, newest first."""

    alerts: list[int]
    services: list[str]
    deployments: list[str]
    roles: dict[str, str]
    updates: list[UpdateOut]


class IncidentList(Schema):
    items: list[IncidentOut]
    next_cursor: str | None


class NewIncident(Body):
    title: OneLine = Field(min_length=1, max_length=200)
    severity: Severity
    summary: Text = Field("", max_length=10_000)
    started_at: Time | None = Field(None, description="left out: since its earliest alert, or since now")
    alerts: list[RowId] = Field(default_factory=list, max_length=1000)
    services: list[ServiceName] = Field(default_factory=list, max_length=100)
    tell: bool = Field(True, description="tell the Slack channel of such alerts")


class NewUpdate(Body):
    text: Text = Field("", max_length=10_000)
    state: OpenState | None = None
    tell: bool = False


class Resolution(Body):
    text: Text = Field("", max_length=10_000)
    tell: bool = True


@router.get("", summary="List incidents", operation_id="list_incidents", response=with_errors({200: IncidentList}))
def list_(
    request: HttpRequest,
    state: State | Literal["open", "closed"] | None = None,
    severity: Severity | None = None,
    service: Annotated[OneLine, Field(max_length=64)] = "",
    q: Annotated[OneLine, Field(max_length=200)] = "",
    cursor: Cursor | None = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Newest first. `state=open` are those that are run now."""
    caller = caller_of(request)
    caller.require(may.INCIDENTS_READ)
    caller.require_all_tenants(ALL_TENANTS)
    filters = IncidentFilters(state=state or "", severity=severity or "", service=service, text=q)
    page = list_incidents(filters, cursor=parse_cursor(cursor), limit=limit)
    return {
        "items": [_shown(incident) for incident in page.items],
        "next_cursor": None if page.next_cursor is None else str(page.next_cursor),
    }


@router.get(
    "/{incident_id}",
    summary="One incident",
    operation_id="get_incident",
    response=with_errors({200: IncidentDetail}, 404),
)
def get(request: HttpRequest, incident_id: RowId) -> dict[str, Any]:
    """With what is linked to it, who does what, and how it stood."""
    caller = caller_of(request)
    caller.require(may.INCIDENTS_READ)
    caller.require_all_tenants(ALL_TENANTS)
    return _detailed(get_incident(incident_id))


@router.post(
    "",
    auth=KEYS,
    summary="Open an incident",
    operation_id="open_incident",
    response=with_errors({201: IncidentDetail}, 409, 413, 415),
)
def open_(request: HttpRequest, body: NewIncident) -> Status[dict[str, Any]]:
    """409 when one of the alerts belongs to an open incident already: `detail.incident` is its number."""
    caller = caller_of(request)
    caller.require(may.INCIDENTS_WORK)
    caller.require_all_tenants(ALL_TENANTS)
    made = services.open_incident(
        actor=caller.actor,
        title=body.title,
        severity=body.severity,
        summary=body.summary,
        started_at=body.started_at,
        episode_ids=body.alerts,
        services=body.services,
        tell_people=body.tell,
    )
    return Status(201, _detailed(made))


@router.post(
    "/{incident_id}/updates",
    auth=KEYS,
    summary="Say how it stands",
    operation_id="update_incident",
    response=with_errors({201: UpdateOut}, 404, 409, 413, 415),
)
def update(request: HttpRequest, incident_id: RowId, body: NewUpdate) -> Status[dict[str, Any]]:
    """With another `state` it is in that state from now on."""
    caller = caller_of(request)
    caller.require(may.INCIDENTS_WORK)
    caller.require_all_tenants(ALL_TENANTS)
    said = services.say(
        incident_id=incident_id, actor=caller.actor, text=body.text, state=body.state or "", tell_people=body.tell
    )
    return Status(201, _update(said))


@router.post(
    "/{incident_id}/resolve",
    auth=KEYS,
    summary="Resolve an incident",
    operation_id="resolve_incident",
    response=with_errors({200: IncidentDetail}, 404, 409, 413, 415),
)
def resolve(request: HttpRequest, incident_id: RowId, body: Resolution) -> dict[str, Any]:
    """409 when it is over already."""
    caller = caller_of(request)
    caller.require(may.INCIDENTS_WORK)
    caller.require_all_tenants(ALL_TENANTS)
    return _detailed(
        services.resolve(incident_id=incident_id, actor=caller.actor, text=body.text, tell_people=body.tell)
    )


def _shown(incident: Incident) -> dict[str, Any]:
    return {
        "id": incident.pk,
        "title": incident.title,
        "summary": incident.summary,
        "severity": incident.severity,
        "state": incident.state,
        "origin": incident.origin,
        "rule": incident.rule_id,
        "started_at": incident.started_at,
        "detected_at": incident.detected_at,
        "acknowledged_at": incident.acknowledged_at,
        "mitigated_at": incident.mitigated_at,
        "resolved_at": incident.resolved_at,
        "reopened": incident.reopened,
        "merged_into": incident.merged_into_id,
        "created_by": incident.created_by,
    }


def _detailed(incident: Incident) -> dict[str, Any]:
    things = list(incident.things.values_list("kind", "ref"))
    return {
        **_shown(incident),
        "alerts": list(incident.links.order_by("episode").values_list("episode_id", flat=True)),
        "services": [ref for kind, ref in things if kind == "service"],
        "deployments": [ref for kind, ref in things if kind == "deployment"],
        "roles": dict(incident.roles.values_list("role", "person")),
        "updates": [_update(each) for each in incident.updates.all()[:100]],
    }


def _update(said: StatusUpdate) -> dict[str, Any]:
    return {
        "id": said.pk,
        "at": said.at,
        "kind": said.kind,
        "state": said.state,
        "text": said.text,
        "actor": said.actor,
    }
