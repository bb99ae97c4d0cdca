"""Rows as the API shows them: personal data masked unless the caller may reveal it."""

from __future__ import annotations

from typing import Any

from apps.core.actor import MESSAGES_REVEAL, Actor
from apps.core.masking import MASK, mask_addresses, mask_recipient, mask_secrets
from apps.outbox.models import WAITING, Attempt, DeadLetter, Message
from apps.outbox.selectors import CauseSummary, MessageDetail, Progress

MESSAGE_FIELDS = (
    "id",
    "wire_id",
    "tenant_id",
    "status",
    "subject",
    "priority",
    "ordering_key",
    "idempotency_key",
    "attempt_count",
    "max_attempts",
    "last_error",
    "source",
    "request_id",
    "created_at",
    "send_after",
    "expires_at",
    "sent_at",
    "settled_at",
)
ATTEMPT_FIELDS = ("number", "started_at", "duration_ms", "worker", "outcome", "status_code", "error_class", "error")
LETTER_FIELDS = (
    "id",
    "message_id",
    "service",
    "tenant_id",
    "reason",
    "status_code",
    "error_class",
    "error",
    "attempts",
    "ambiguous",
    "state",
    "replay_id",
    "died_at",
    "resolved_at",
    "resolved_by",
    "note",
    "assignee",
    "snoozed_until",
)
REPLAY_FIELDS = (
    "id",
    "state",
    "reason",
    "created_by",
    "canary",
    "stop_above_percent",
    "total",
    "skipped",
    "released",
    "sent",
    "failed",
    "note",
    "created_at",
    "finished_at",
)


def _picked(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def shown_message(message: Message, actor: Actor) -> dict[str, Any]:
    """One row of a list."""
    reveal = actor.may(MESSAGES_REVEAL)
    return _picked(message, MESSAGE_FIELDS) | {
        "service": message.service_id,
        "recipient": message.recipient if reveal else mask_recipient(message.recipient),
        "subject": message.subject if reveal or not message.subject else MASK,
        "last_error": _said(message.last_error, reveal),
        "next_attempt_at": message.due_at if message.status in WAITING else None,
    }


def _said(text: str, reveal: bool) -> str:
    """What the other side said: it likes to repeat addresses."""
    return text if reveal else mask_addresses(text)


def shown_detail(detail: MessageDetail, actor: Actor) -> dict[str, Any]:
    """One message with everything that happened to it."""
    message, reveal = detail.message, actor.may(MESSAGES_REVEAL)
    return shown_message(message, actor) | {
        "why": _said(detail.why, reveal),
        "attempts": [_shown_attempt(attempt, reveal) for attempt in detail.attempts],
        "dead_letters": [letter.pk for letter in detail.deaths],
        "replays": sorted({item.replay_id for item in detail.replays}),
        "edited_from": message.edited_from,
        "body": _shown_body(message) if reveal else None,
    }


def _shown_attempt(attempt: Attempt, reveal: bool) -> dict[str, Any]:
    return _picked(attempt, ATTEMPT_FIELDS) | {
        "error": _said(attempt.error, reveal),
        "response": attempt.response if reveal else "",
    }


def _shown_body(message: Message) -> dict[str, Any]:
    names = ("body_template", "body_data", "template", "payload", "content_type")
    return _picked(message, names) | {"json_text": message.json, "headers": mask_secrets(message.headers)}


def shown_letter(letter: DeadLetter, actor: Actor) -> dict[str, Any]:
    """One dead letter; its cause is the fingerprint."""
    error = _said(letter.error, actor.may(MESSAGES_REVEAL))
    return _picked(letter, LETTER_FIELDS) | {"cause": letter.cause_id, "error": error}


def shown_cause(cause: CauseSummary, actor: Actor) -> dict[str, Any]:
    """One cause with a sample of its letters."""
    names = ("fingerprint", "service", "error_class", "status_code", "message", "letters", "tenants", "ambiguous")
    times = ("snoozed", "first_seen", "last_seen", "known_since", "trend")
    return _picked(cause, (*names, *times)) | {"sample": shown_letter(cause.sample, actor)}


def shown_replay(found: Progress) -> dict[str, Any]:
    """One replay with how far it is."""
    names = ("waiting", "done_percent", "failed_percent", "waits_for", "seconds_left")
    return (
        _picked(found.replay, REPLAY_FIELDS)
        | _picked(found, names)
        | {
            "selection": found.replay.selection,
            "per_second": found.replay.per_second,
            "measured_per_second": found.per_second,
            "actions": list(found.actions),
        }
    )
