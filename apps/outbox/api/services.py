"""Operations on services: what they are, how their breaker stands, and what was delivered lately."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from apps.accounts.http import KEYS_OR_SESSION, Caller, caller_of
from apps.breakers.api import BreakerOut
from apps.breakers.selectors import BreakerSnapshot, snapshot, snapshot_all
from apps.breakers.shown import shown_snapshot
from apps.core import actor as may
from apps.core.api_types import ServiceName, with_errors
from apps.outbox.selectors import Backlog, ServiceFigures, backlog, figures_by_service
from apps.services.models import Service
from apps.services.selectors import get_service, list_services
from apps.services.shown import shown_definition

router = Router(tags=["Services"], auth=KEYS_OR_SESSION)

FIGURE_MINUTES = 5


class BacklogOut(Schema):
    waiting: int
    sending: int
    held: int = Field(description="behind an earlier message of their ordering_key; part of waiting")
    scheduled: int = Field(description="not due yet; part of waiting")
    oldest_waiting_at: datetime | None


class FiguresOut(Schema):
    """Attempts of the last minutes."""

    minutes: int
    sent: int
    failed: int
    timed_out: int
    slowed: int
    died: int
    success_rate: float | None = Field(description="0 to 1; null when nothing was tried")
    p50_ms: float | None
    p95_ms: float | None
    per_second: float


class ServiceOut(Schema):
    name: str
    owner: str
    criticality: Literal["critical", "normal"]
    channel: Literal["http", "email", "whatsapp", "slack", "telegram", "pagerduty", "plane"]
    paused: bool
    paused_by: str
    paused_reason: str
    config_version: int
    breaker: BreakerOut
    backlog: BacklogOut
    figures: FiguresOut


class ServiceDetailOut(ServiceOut):
    """With its configuration; secrets are never in it."""

    settings: dict[str, Any]
    retry: dict[str, Any]
    limits: dict[str, Any]
    ordering: dict[str, Any]
    breaker_options: dict[str, Any]
    runbook_url: str


class ServiceList(Schema):
    items: list[ServiceOut]


@router.get("", summary="List services", operation_id="list_services", response=with_errors({200: ServiceList}))
def services(request: HttpRequest) -> dict[str, Any]:
    """All services with breaker state, backlog and figures of the last five minutes, by name."""
    _reader(request)
    breakers = {found.service: found for found in snapshot_all()}
    waiting, figures = backlog(), figures_by_service(minutes=FIGURE_MINUTES)
    items = [
        _shown(service, breakers[service.name], waiting.get(service.name), figures.get(service.name))
        for service in list_services()
        if service.name in breakers  # one may have been added between the two questions
    ]
    return {"items": items}


@router.get(
    "/{name}", summary="One service", operation_id="get_service", response=with_errors({200: ServiceDetailOut}, 404)
)
def service(request: HttpRequest, name: ServiceName) -> dict[str, Any]:
    """With its configuration."""
    _reader(request)
    found = get_service(name)
    definition = shown_definition(found)
    options = {key: definition[key] for key in ("settings", "retry", "limits", "ordering", "runbook_url")}
    figures = figures_by_service(minutes=FIGURE_MINUTES).get(name)
    return (
        _shown(found, snapshot(name), backlog().get(name), figures)
        | options
        | {"breaker_options": definition["breaker"]}
    )


def _reader(request: HttpRequest) -> Caller:
    caller = caller_of(request)
    caller.require(may.SERVICES_READ)
    return caller


def _shown(
    service: Service, breaker: BreakerSnapshot, waiting: Backlog | None, figures: ServiceFigures | None
) -> dict[str, Any]:
    return {
        "name": service.name,
        "owner": service.owner,
        "criticality": service.criticality,
        "channel": service.channel,
        "paused": service.paused_at is not None,
        "paused_by": service.paused_by,
        "paused_reason": service.paused_reason,
        "config_version": service.config_version,
        "breaker": shown_snapshot(breaker),
        "backlog": waiting or Backlog(),
        "figures": figures or ServiceFigures(FIGURE_MINUTES),
    }
