"""What ``--json`` prints: the same names as the HTTP API."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from apps.outbox.deadletters.selectors import CauseSummary
from apps.outbox.models import Attempt, DeadLetter, Message, Replay, Triage
from apps.outbox.replays.planning import Plan
from apps.outbox.replays.progress import waiting
from apps.outbox.selectors import MessageDetail


def of_message(message: Message) -> dict[str, Any]:
    """A message without its body."""
    return {
        "id": message.pk,
        "wire_id": message.wire_id,
        "status": message.status,
        "service": message.service_id,
        "tenant_id": message.tenant_id,
        "recipient": message.recipient,
        "subject": message.subject,
        "priority": message.priority,
        "ordering_key": message.ordering_key,
        "idempotency_key": message.idempotency_key,
        "attempt_count": message.attempt_count,
        "attempt_total": message.attempt_total,
        "next_attempt_at": message.next_attempt_at,
        "send_after": message.send_after,
        "expires_at": message.expires_at,
        "last_error": message.last_error,
        "created_at": message.created_at,
        "sent_at": message.sent_at,
    }


def of_detail(detail: MessageDetail) -> dict[str, Any]:
    return of_message(detail.message) | {
        "why": detail.why,
        "attempts": [of_attempt(attempt) for attempt in detail.attempts],
        "deaths": [of_letter(letter) for letter in detail.deaths],
        "replays": [{"replay": item.replay_id, "state": item.state, "note": item.note} for item in detail.replays],
        "original": detail.message.edited_from,
        "copies": [copy.pk for copy in detail.copies],
    }


def of_attempt(attempt: Attempt) -> dict[str, Any]:
    names = ("number", "started_at", "duration_ms", "worker", "outcome", "status_code", "error_class", "error")
    return {name: getattr(attempt, name) for name in names}


def of_letter(letter: DeadLetter) -> dict[str, Any]:
    names = ("service", "tenant_id", "reason", "status_code", "error_class", "error", "attempts", "ambiguous", "state")
    more = ("replay_id", "died_at", "resolved_at", "resolved_by", "note", "assignee", "snoozed_until")
    shown = {name: getattr(letter, name) for name in (*names, *more)}
    return {"id": letter.pk, "message_id": letter.message_id, "cause": letter.cause_id, **shown}


def of_cause(cause: CauseSummary) -> dict[str, Any]:
    names = ("fingerprint", "service", "error_class", "status_code", "message", "letters", "tenants", "ambiguous")
    more = ("snoozed", "first_seen", "last_seen", "known_since", "trend", "assignee", "assignees", "assigned")
    return {name: getattr(cause, name) for name in (*names, *more)} | {"sample": of_letter(cause.sample)}


def of_plan(plan: Plan) -> dict[str, Any]:
    return asdict(plan)


def of_replay(replay: Replay) -> dict[str, Any]:
    names = ("state", "selection", "reason", "created_by", "canary", "per_second", "stop_above_percent", "total")
    more = ("released", "sent", "failed", "skipped", "note", "created_at", "finished_at")
    shown = {name: getattr(replay, name) for name in (*names, *more)}
    return {"id": replay.pk, **shown, "waiting": waiting(replay)}


def of_triage(made: Triage) -> dict[str, Any]:
    names = ("verb", "state", "selection", "text", "assignee", "until", "total", "done", "created_at", "finished_at")
    return {"id": made.pk, **{name: getattr(made, name) for name in names}, "undoes": made.undoes_id}
