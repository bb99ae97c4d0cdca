"""Bodies of messages as they may be shown: masked, until somebody with the permission reveals them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from shlex import quote
from typing import Any, Final

from django.utils.translation import gettext as _

from apps.core import human
from apps.core.masking import MASK, is_secret_name, mask_secrets, mask_url
from apps.outbox.models import Message
from apps.outbox.rendering import RenderingFailed, render
from apps.services.models import Service

SHOWN_CHARS: Final = 20_000
SHOWN_ITEMS: Final = 200


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of what a message says. ``size`` is in characters; ``cut`` when only the beginning is shown."""

    label: str
    text: str
    size: int
    cut: bool = False


def parts_of(message: Message, *, revealed: bool) -> list[Part]:
    """What the message is made of, in the words of the API."""
    found: list[tuple[str, str, bool]] = []
    if message.payload is not None:
        found.append((f"payload · {message.content_type or _('no content type')}", message.payload, True))
    if message.json is not None:
        found.append(("json", message.json, True))
    if message.template:
        found.append(("template", f"{message.template} v{message.template_version or 1}", False))
    if message.body_template:
        # A template is the same for everybody; what is filled in is personal.
        found.append(("body_template", message.body_template, False))
    if message.body_data:
        found.append(("body_data", json.dumps(message.body_data, ensure_ascii=False, indent=2), True))
    if message.headers:
        shown = json.dumps(mask_secrets(message.headers), ensure_ascii=False, indent=2)
        found.append(("headers", shown, False))
    return [_part(label, text, private and not revealed) for label, text, private in found]


def _part(label: str, text: str, hide: bool) -> Part:
    shown = mask_text(text) if hide else text
    return Part(label, shown[:SHOWN_CHARS], len(text), len(shown) > SHOWN_CHARS)


def mask_text(text: str) -> str:
    """JSON keeps its keys and its shape; other text keeps its length only."""
    if not text:
        return ""
    if len(text) <= 200_000:
        try:
            return json.dumps(_masked(json.loads(text)), ensure_ascii=False, indent=2)
        except (ValueError, RecursionError):
            pass
    return f"{MASK} ({_('{count} characters').format(count=human.number(len(text)))})"


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in list(value.items())[:SHOWN_ITEMS]}
    if isinstance(value, list):
        return [_masked(item) for item in value[:SHOWN_ITEMS]]
    return value if value is None or isinstance(value, bool) else MASK


def as_curl(message: Message, service: Service, *, revealed: bool) -> str:
    """The request of a message of an ``http`` service as a command; empty for other channels.

    What the secret makes (signature, Authorization) is never in it, and the body only when it is revealed.
    """
    if service.channel != "http":
        return ""
    url = str(service.settings.get("url", ""))
    lines = [f"curl -X {service.settings.get('method', 'POST')} {quote(url if revealed else mask_url(url))}"]
    lines += [f"-H {quote(f'{name}: {value}')}" for name, value in _curl_headers(message, service).items()]
    body = _body_of(message)
    if body:
        lines.append(f"--data-binary {quote(body if revealed else mask_text(body))}")
    return " \\\n  ".join(lines)


def _curl_headers(message: Message, service: Service) -> dict[str, str]:
    given = {**service.settings.get("headers", {}), **message.headers}
    shown = {name: MASK if is_secret_name(name) else str(value) for name, value in given.items()}
    shown["Content-Type"] = message.content_type or "application/json"
    shown["Idempotency-Key"] = message.idempotency_key or message.wire_id
    shown["webhook-id"] = message.wire_id
    if service.secret_ref or service.secret:
        shown["webhook-signature"] = MASK
    return shown


def _body_of(message: Message) -> str:
    """What an http service is sent: payload, or json, or the rendered template (empty if it cannot be)."""
    if message.payload is not None:
        return message.payload
    if message.json is not None:
        return message.json
    try:
        return render(message.body_template, message.body_data) if message.body_template else ""
    except RenderingFailed:
        return ""
