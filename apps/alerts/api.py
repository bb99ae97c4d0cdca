"""The HTTP API of alerts: parse, call one function, answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from apps.accounts.http import KEYS, KEYS_OR_SESSION, Caller, caller_of
from apps.alerts import bulk, work
from apps.alerts.episodes import resolves_at
from apps.alerts.models import Episode, Escalation, Notification
from apps.alerts.selectors import EpisodeFilters, episode_page, find_episode
from apps.alerts.watching import life_of
from apps.core import actor as may
from apps.core.api_types import Body, Limit, OneLine, RowId, Text, Time, with_errors
from apps.core.db import database_now

router = Router(tags=["Alerts"], auth=KEYS)

SeverityWord = Literal["critical", "warning", "notice", "info", "security", "unknown"]
Reason = Annotated[Text, Field(max_length=2000)]


class AlertOut(Schema):
    """One continuous firing of an alert: an episode. What its source wrote is given as it came."""

    id: RowId
    name: str
    state: Literal["firing", "recovering", "resolved"]
    severity: SeverityWord
    source: str
    service: str = Field(description="empty when the label names no service of this portal")
    fingerprint: str
    summary: str
    first_seen_at: datetime
    last_fired_at: datetime
    normal_since: datetime | None
    resolved_at: datetime | None
    fired_again: int = Field(description="how often it ended and fired again within this episode")
    flapping: bool
    suppressed: bool = Field(description="its Alertmanager keeps it quiet")
    inferred: bool = Field(description="nobody said that it ended; its Alertmanager does not know it any more")
    acknowledged_at: datetime | None
    acknowledged_by: str
    acknowledged_until: datetime | None
    assignee: str
    snoozed_until: datetime | None


class AlertPageOut(Schema):
    items: list[AlertOut]
    next_cursor: str | None


class ProofOut(Schema):
    what: str
    holds: bool


class StepOut(Schema):
    """Who is told next."""

    step: int
    steps: int
    notify: list[str]
    at: datetime | None
    unless: Literal["acknowledged", "resolved"]


class NotificationOut(Schema):
    """One telling of one target. `late_seconds` is by how much it was decided after it was planned."""

    id: RowId
    kind: str
    step: int
    target: str
    service: str
    outcome: Literal["queued", "skipped", "impossible"]
    message_id: int | None
    planned_at: datetime
    decided_at: datetime
    late_seconds: int


class AlertDetailOut(AlertOut):
    labels: dict[str, str]
    annotations: dict[str, str]
    generator_url: str
    starts_at: datetime | None = Field(description="of the sender's clock")
    resolves_at: datetime | None = Field(description="when a recovery counts as resolved; null while it is frozen")
    proof: list[ProofOut] = Field(description="what the resolution stands on, and what it lacks")
    previous_id: int | None
    route: str
    next: StepOut | None
    notifications: list[NotificationOut]


class AcknowledgeIn(Body):
    """Holds until the alert is over, or until `until`. `silence_until` asks its Alertmanager to be silent as well."""

    reason: Reason = ""
    until: Time | None = None
    silence_until: Time | None = None


class ReasonIn(Body):
    reason: Reason = ""


class AssignIn(Body):
    assignee: OneLine = Field("", max_length=200, description="an e-mail address; empty: nobody")


class NoteIn(Body):
    text: Text = Field(min_length=1, max_length=10_000)


class SnoozeIn(Body):
    """Nobody is told until `until`; null ends it."""

    until: Time | None
    reason: Reason = ""


CHANGED = with_errors({200: AlertDetailOut}, 404, 409, 413, 415)


@router.get(
    "",
    summary="List alerts",
    operation_id="list_alerts",
    response=with_errors({200: AlertPageOut}),
    auth=KEYS_OR_SESSION,
)
def list_alerts(
    request: HttpRequest,
    state: Literal["open", "firing", "recovering", "resolved", "all"] = "open",
    severity: SeverityWord | None = None,
    source: Annotated[OneLine, Field(max_length=64)] = "",
    service: Annotated[OneLine, Field(max_length=64)] = "",
    name: Annotated[OneLine, Field(max_length=500)] = "",
    fingerprint: Annotated[OneLine, Field(max_length=64)] = "",
    assignee: Annotated[OneLine, Field(max_length=200)] = "",
    acknowledged: bool | None = None,
    text: Annotated[OneLine, Field(max_length=200)] = "",
    first_seen_after: Time | None = None,
    first_seen_before: Time | None = None,
    cursor: Annotated[str | None, Field(pattern=r"^[0-9]{1,2}-[0-9]{1,18}$", description="`next_cursor`")] = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Open ones by severity, others newest first. What is over is looked through in windows: a page may hold less
    than `limit`, and even nothing, while there is a `next_cursor`.
    """
    _caller(request, may.ALERTS_READ)
    filters = EpisodeFilters(
        state="" if state == "open" else state,
        severity=severity or "",
        source=source,
        service=service,
        name=name,
        fingerprint=fingerprint,
        assignee=assignee,
        acknowledged=acknowledged,
        text=text,
        after=first_seen_after,
        before=first_seen_before,
    )
    found = episode_page(filters, now=database_now(), cursor=cursor or "", limit=limit)
    return {"items": [_shown(episode) for episode in found.items], "next_cursor": found.next_cursor}


@router.get(
    "/{alert_id}",
    summary="An alert, who was told of it and who is next",
    operation_id="get_alert",
    response=with_errors({200: AlertDetailOut}, 404),
    auth=KEYS_OR_SESSION,
)
def get_alert(request: HttpRequest, alert_id: RowId) -> dict[str, Any]:
    """With who was told, and who is told next."""
    _caller(request, may.ALERTS_READ)
    return _detail(alert_id)


@router.post("/{alert_id}/acknowledge", summary="Acknowledge", operation_id="acknowledge_alert", response=CHANGED)
def acknowledge(request: HttpRequest, alert_id: RowId, body: AcknowledgeIn | None = None) -> dict[str, Any]:
    """Pages that wait for an acknowledgement are not sent any more. 409 names who was first."""
    given = body or AcknowledgeIn.model_validate({})
    work.acknowledge(
        episode_id=alert_id,
        actor=_caller(request, may.ALERTS_WORK).actor,
        reason=given.reason,
        until=given.until,
        silence_until=given.silence_until,
    )
    return _detail(alert_id)


@router.post(
    "/{alert_id}/take-back", summary="Take an acknowledgement back", operation_id="take_back_alert", response=CHANGED
)
def take_back(request: HttpRequest, alert_id: RowId, body: ReasonIn | None = None) -> dict[str, Any]:
    """Pages that are due are sent."""
    actor = _caller(request, may.ALERTS_WORK).actor
    work.take_back(episode_id=alert_id, actor=actor, reason=body.reason if body else "")
    return _detail(alert_id)


@router.post("/{alert_id}/assign", summary="Assign an alert", operation_id="assign_alert", response=CHANGED)
def assign(request: HttpRequest, alert_id: RowId, body: AssignIn) -> dict[str, Any]:
    """Says who looks after it; who is paged stays as it is."""
    work.assign(episode_id=alert_id, actor=_caller(request, may.ALERTS_WORK).actor, assignee=body.assignee)
    return _detail(alert_id)


@router.post("/{alert_id}/note", summary="Write a note on an alert", operation_id="note_alert", response=CHANGED)
def note(request: HttpRequest, alert_id: RowId, body: NoteIn) -> dict[str, Any]:
    """It becomes part of the alert's story."""
    work.note(episode_id=alert_id, actor=_caller(request, may.ALERTS_WORK).actor, text=body.text)
    return _detail(alert_id)


@router.post("/{alert_id}/snooze", summary="Snooze an alert", operation_id="snooze_alert", response=CHANGED)
def snooze(request: HttpRequest, alert_id: RowId, body: SnoozeIn) -> dict[str, Any]:
    """What is due meanwhile is told when it ends, if the alert still fires."""
    actor = _caller(request, may.ALERTS_WORK).actor
    bulk.snooze(ids=[alert_id], actor=actor, until=body.until, reason=body.reason)
    return _detail(alert_id)


def _caller(request: HttpRequest, permission: str) -> Caller:
    """Alerts are of no tenant, so a tenant's key does not see them."""
    caller = caller_of(request)
    caller.require(permission)
    caller.require_all_tenants("an alert")
    return caller


PLAIN = (
    *("name", "state", "severity", "service", "fingerprint", "first_seen_at", "last_fired_at", "normal_since"),
    *("resolved_at", "fired_again", "flapping", "suppressed", "inferred", "assignee", "snoozed_until"),
    *("acknowledged_at", "acknowledged_by", "acknowledged_until"),
)


def _shown(episode: Episode) -> dict[str, Any]:
    summary = getattr(episode, "summary", None)
    if summary is None and "annotations" not in episode.get_deferred_fields():
        summary = episode.annotations.get("summary", "")
    plain = {name: getattr(episode, name) for name in PLAIN}
    return {**plain, "id": episode.pk, "source": episode.source_id, "summary": str(summary or "")}


def _detail(alert_id: int) -> dict[str, Any]:
    episode = find_episode(alert_id)
    running = Escalation.objects.filter(episode=episode).first()
    notes = Notification.objects.filter(escalation=running).order_by("id")[:500] if running else []
    return {
        **_shown(episode),
        "labels": episode.labels,
        "annotations": episode.annotations,
        "generator_url": episode.generator_url,
        "starts_at": episode.starts_at,
        "resolves_at": resolves_at(episode.as_current(), life_of(episode.source, database_now())),
        "proof": [{"what": str(word), "holds": bool(holds)} for word, holds in episode.proof],
        "previous_id": episode.previous_id,
        "route": running.route if running else "",
        "next": _next(running) if running else None,
        "notifications": [_told(note) for note in notes],
    }


def _next(running: Escalation) -> dict[str, Any] | None:
    steps = running.policy["route"]["steps"]
    if running.ended_at is not None or running.step >= len(steps):
        return None
    step = steps[running.step]
    return {
        "step": running.step + 1,
        "steps": len(steps),
        "notify": step["notify"],
        "at": running.next_at,
        "unless": step.get("unless", "resolved"),
    }


def _told(note: Notification) -> dict[str, Any]:
    names = ("kind", "target", "service", "outcome", "message_id", "planned_at", "decided_at")
    plain = {name: getattr(note, name) for name in names}
    return {**plain, "id": note.pk, "step": note.step + 1, "late_seconds": note.late_s}
