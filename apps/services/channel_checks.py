"""How this app checks the settings of a channel without knowing channels, which stand above it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

# (kind, settings) -> the settings as they should be stored; raises Invalid naming ``settings.field``.
ChannelCheck = Callable[[str, Mapping[str, Any]], dict[str, Any]]

_checks: list[ChannelCheck] = []


def register_channel_check(check: ChannelCheck) -> None:
    """Called once, when the app that knows channels is ready."""
    if check not in _checks:
        _checks.append(check)


def checked_settings(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` after every registered check; raises :class:`Invalid`."""
    found = dict(settings)
    for check in _checks:
        found = check(kind, found)
    return found
