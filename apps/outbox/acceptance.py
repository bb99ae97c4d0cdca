"""What a message must look like to be accepted. Every problem is found at once and names its field."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.channels.acceptance import check_message
from apps.core.errors import Invalid
from apps.core.human import listed
from apps.outbox.rendering import RenderingFailed, render, render_line
from apps.outbox.templating.choosing import Chosen, NoTemplate, choose
from apps.outbox.templating.tags import MAX_REFERENCE

MAX_HEADERS: Final = 50
CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
LINE_BREAK: Final = re.compile(r"[\r\n\x00]")
# A NUL as JSON writes it; a backslash that is itself escaped does not count.
NUL_ESCAPE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class _Unset:
    """The value of ``json`` when it was not given; null is a JSON value like any other."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """The fields of a message as product.md names them."""

    service: str
    recipient: str = ""
    subject: str = ""
    body_template: str = ""
    body_data: Mapping[str, Any] | None = None
    template: str = ""
    json: Any = UNSET
    payload: str | None = None
    content_type: str = ""
    headers: Mapping[str, str] | None = None
    tenant_id: str = ""
    priority: int = 5
    ordering_key: str = ""
    send_after: datetime | None = None
    expires_at: datetime | None = None
    max_attempts: int | None = None
    idempotency_key: str = ""
    source: str = ""
    edited_from: int | None = None


FIELD_NAMES: Final = frozenset(field.name for field in fields(NewMessage))
LIMITS: Final = {
    "tenant_id": 64,
    "template": MAX_REFERENCE,
    "content_type": 100,
    "ordering_key": 255,
    "idempotency_key": 255,
    "subject": 2000,
    "recipient": 2000,
    "body_template": 65_536,
}
ONE_LINE: Final = ("tenant_id", "template", "content_type", "ordering_key", "idempotency_key", "service")


@dataclass(frozen=True, slots=True)
class Checked:
    """An acceptable message and what checking it found out."""

    message: NewMessage
    json_text: str | None
    template: Chosen | None


class Problems(list[dict[str, str]]):
    """Problems found so far."""

    def add(self, field: str, text: str) -> None:
        self.append({"field": field, "message": text})

    def stop_if_any(self) -> None:
        if self:
            raise Invalid.fields(list(self))


def from_mapping(item: Mapping[str, Any]) -> NewMessage:
    """A message from a mapping of unknown origin; raises :class:`Invalid` for unknown or missing fields."""
    unknown = sorted(set(item) - FIELD_NAMES)
    if unknown:
        raise Invalid.fields([{"field": name, "message": _("is not a field of a message")} for name in unknown])
    if not item.get("service"):
        raise Invalid.field("service", _("is required: the name of a configured service"))
    return NewMessage(**item)


def check(message: NewMessage, channel: str, *, chosen: Chosen | None = None) -> Checked:
    """Check everything that can be known without sending; raises :class:`Invalid` with all problems.

    ``chosen`` is the version of its template when that is decided already.
    """
    problems = Problems()
    _check_texts(message, problems)
    _check_numbers(message, problems)
    _check_times(message, problems)
    _check_headers(message, problems)
    problems.stop_if_any()
    problems.extend(
        check_message(
            channel, recipient=message.recipient, subject=message.subject, headers=dict(message.headers or {})
        )
    )
    json_text = _check_body(message, problems)
    template = _check_template(message, channel, chosen, problems)
    problems.stop_if_any()
    return Checked(message, json_text, template)


def _check_texts(message: NewMessage, problems: Problems) -> None:
    for field in ("service", "recipient", "body_template", "payload", "source", *LIMITS):
        value = getattr(message, field)
        if value is None:
            continue
        if not isinstance(value, str):
            problems.add(field, _("must be text, not {kind}").format(kind=type(value).__name__))
        elif "\x00" in value:
            problems.add(field, _("holds a NUL character, which cannot be stored: remove it"))
        elif len(value) > LIMITS.get(field, settings.MAX_BODY_BYTES):
            problems.add(
                field, _("is longer than {most} characters").format(most=LIMITS.get(field, settings.MAX_BODY_BYTES))
            )
        elif not _encodable(value):
            problems.add(field, _("is not valid Unicode: it holds half of a surrogate pair"))
        elif field in ONE_LINE and CONTROL.search(value.replace("\t", "\x00").replace("\n", "\x00")):
            problems.add(field, _("holds a control character: remove it"))
    if message.subject and isinstance(message.subject, str) and LINE_BREAK.search(message.subject):
        problems.add("subject", _("holds a line break, which could inject a header: remove it"))


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_numbers(message: NewMessage, problems: Problems) -> None:
    if not _is_int(message.priority) or not 0 <= message.priority <= 9:
        problems.add("priority", _("must be a whole number from 0 to 9; higher goes first"))
    if message.max_attempts is not None and (not _is_int(message.max_attempts) or not 1 <= message.max_attempts <= 100):
        problems.add("max_attempts", _("must be a whole number from 1 to 100"))


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_times(message: NewMessage, problems: Problems) -> None:
    for field in ("send_after", "expires_at"):
        value = getattr(message, field)
        if value is not None and (not isinstance(value, datetime) or timezone.is_naive(value)):
            problems.add(field, _("must be a time with its zone, such as 2026-01-31T09:00:00Z"))
            return
    if message.expires_at is None:
        return
    if message.expires_at <= timezone.now():
        problems.add("expires_at", _("is in the past, so the message could never be sent"))
    elif message.send_after is not None and message.send_after >= message.expires_at:
        problems.add("expires_at", _("is not after send_after, so the message could never be sent"))


def _check_headers(message: NewMessage, problems: Problems) -> None:
    headers = message.headers or {}
    if not isinstance(headers, Mapping):
        problems.add("headers", _("must be an object of names and texts"))
        return
    if len(headers) > MAX_HEADERS:
        problems.add("headers", _("has more than {most} entries").format(most=MAX_HEADERS))
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str) or not _encodable(name + value):
            problems.add(f"headers.{name}", _("must be text"))


def _check_body(message: NewMessage, problems: Problems) -> str | None:
    given = [name for name in ("body_template", "template", "payload") if getattr(message, name)]
    if message.payload == "":
        given.append("payload")
    if message.json is not UNSET:
        given.append("json")
    if len(given) != 1:
        if given:
            text = _("exactly one of body_template, template, json and payload makes the body; {given} were given")
        else:
            text = _("exactly one of body_template, template, json and payload makes the body; none was given")
        problems.add("payload", text.format(given=listed(given)))
    if message.payload and len(message.payload.encode()) > settings.MAX_BODY_BYTES:
        problems.add("payload", _("is larger than {most} bytes").format(most=settings.MAX_BODY_BYTES))
    return _serialised(message, problems)


def _serialised(message: NewMessage, problems: Problems) -> str | None:
    if message.json is UNSET:
        return None
    try:
        text = json.dumps(message.json, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        problems.add("json", _("cannot be written as JSON: {error}").format(error=error))
        return None
    if NUL_ESCAPE.search(text):
        problems.add("json", _("holds a NUL character, which cannot be stored: remove it"))
    if size > settings.MAX_BODY_BYTES:
        problems.add("json", _("is larger than {most} bytes").format(most=settings.MAX_BODY_BYTES))
    return text


def _check_template(message: NewMessage, channel: str, chosen: Chosen | None, problems: Problems) -> Chosen | None:
    """Render once, so that a template that cannot work is refused now rather than dead-lettered later."""
    data = message.body_data or {}
    if not _check_data(data, problems):
        return None
    if not message.template:
        if message.body_template and not problems:
            _try(problems, "body_template", message.body_template, data, html="html" in message.content_type)
        return None
    try:
        chosen = chosen or choose(message.template, channel=channel, data=data)
    except NoTemplate as error:
        problems.add("template", str(error))
        return None
    if not problems:
        kind = message.content_type or chosen.text.content_type
        _try(problems, "template", chosen.text.body, data, html="html" in kind)
        if chosen.text.subject and not message.subject:
            _try(problems, "template", chosen.text.subject, data, line=True)
    return chosen


def _try(
    problems: Problems, field: str, source: str, data: Mapping[str, Any], *, html: bool = False, line: bool = False
) -> None:
    try:
        render_line(source, data) if line else render(source, data, html=html)
    except RenderingFailed as error:
        problems.add(field, str(error))


def _check_data(data: Any, problems: Problems) -> bool:
    if not isinstance(data, Mapping):
        problems.add("body_data", _("must be an object"))
        return False
    text = _stored_text(data)
    if text is None:
        problems.add("body_data", _("holds a NUL character or is not valid JSON: remove or correct it"))
        return False
    if len(text.encode()) > settings.MAX_BODY_BYTES:
        problems.add("body_data", _("is larger than {most} bytes").format(most=settings.MAX_BODY_BYTES))
        return False
    return True


def _stored_text(data: Any) -> str | None:
    """The JSON that would be stored; None if it cannot be."""
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return None
    return None if NUL_ESCAPE.search(text) else text
