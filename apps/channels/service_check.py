"""The check of channel settings that the services app runs before it stores them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings as installation

from apps.channels.base import NetworkPolicy
from apps.channels.registry import kind_of, validate_settings
from apps.core.errors import Invalid


def check_settings(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they should be stored; raises :class:`Invalid` for what they are or where they point."""
    checked = validate_settings(kind, settings)
    network = NetworkPolicy(allow_private=installation.DELIVERY_PRIVATE_NETWORKS == "allow")
    problems = kind_of(kind).settings.parse(checked).destination_problems(network)
    if problems:
        raise Invalid.fields(problems)
    return checked
