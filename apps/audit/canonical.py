"""Values as both databases give them back, so that a hash computed today is the hash computed later."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from apps.core.text import storable


def clean_text(value: str, longest: int) -> str:
    """Text that PostgreSQL can store: no NUL, no lone surrogate, at most ``longest`` characters."""
    text = storable(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def plain(value: Any) -> Any:
    """``value`` as JSON types only.

    jsonb turns 1e20 into an integer and forgets the sign of -0.0, so a float without a fraction
    becomes an integer before it is hashed. What JSON does not know becomes its text.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return _plain_float(value)
    if isinstance(value, Mapping):
        return {clean_text(str(key), 10_000): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    return clean_text(str(value), 100_000)


def _plain_float(value: float) -> float | int | str:
    if not math.isfinite(value):
        return str(value)
    return int(value) if value.is_integer() else value


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no white space: one text per value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
