"""Bodies of messages as they may be shown: masked, until somebody with the permission reveals them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from apps.core.masking import MASK, mask_secrets
from apps.outbox.models import Message

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
        found.append((f"payload · {message.content_type or 'no content type'}", message.payload, True))
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
    return f"{MASK} ({len(text):,} characters)"


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in list(value.items())[:SHOWN_ITEMS]}
    if isinstance(value, list):
        return [_masked(item) for item in value[:SHOWN_ITEMS]]
    return value if value is None or isinstance(value, bool) else MASK
