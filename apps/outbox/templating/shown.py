"""Templates as JSON: for the API and for commands with --json."""

from __future__ import annotations

from typing import Any

from apps.outbox.models import MessageTemplate
from apps.outbox.rendering import RenderingFailed
from apps.outbox.templating.inspecting import Variables, variables_of
from apps.outbox.templating.selectors import Line, NamedTemplate, Usage

VERSION_FIELDS = ("version", "draft", "content_type", "description", "created_at", "created_by")


def shown_name(found: NamedTemplate) -> dict[str, Any]:
    """One name with its lines."""
    return {
        "name": found.name,
        "lines": [shown_line(line) for line in found.lines],
        "messages_last_7_days": found.lately,
    }


def shown_line(line: Line) -> dict[str, Any]:
    """One channel and language."""
    using = line.using
    return {
        "channel": line.id.channel,
        "language": line.id.language,
        "active_version": using.version if using else None,
        "newest_version": line.newest.version,
        "archived_at": line.archived_at,
        "changed_at": line.newest.created_at,
        "changed_by": line.newest.created_by,
    }


def shown_version(version: MessageTemplate, *, in_use: bool, usage: Usage | None = None) -> dict[str, Any]:
    """One version with its text and what it reads from body_data."""
    found = usage or Usage()
    variables = _variables(version)
    return {name: getattr(version, name) for name in VERSION_FIELDS} | {
        "id": version.pk,
        "active": in_use,
        "subject": version.subject,
        "body": version.body,
        "sample_data": version.sample_data,
        "required_variables": list(variables.required),
        "optional_variables": list(variables.optional),
        "messages": found.messages,
    }


def _variables(version: MessageTemplate) -> Variables:
    """None for a text that plain SQL put there and that is no template."""
    try:
        return variables_of(version.subject, version.body)
    except RenderingFailed:
        return Variables()
