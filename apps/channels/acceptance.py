"""What can be known about a message or a destination before anything is sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from apps.channels import headers as rules
from apps.channels.base import NetworkPolicy
from apps.channels.registry import kind_of
from apps.core.errors import Invalid

Problem = dict[str, str]


def check_message(kind: str, *, recipient: str, subject: str, headers: Mapping[str, str]) -> list[Problem]:
    """Problems of a message for this kind of channel, each with its field; empty if it can be sent."""
    problems: list[Problem] = []
    found = kind_of(kind).recipient_problem(recipient)
    if not found and rules.UNSAFE.search(recipient):
        found = _("holds a line break or another control character: remove it")
    if found:
        problems.append({"field": "recipient", "message": found})
    if rules.UNSAFE.search(subject):
        problems.append(
            {"field": "subject", "message": _("holds a line break or another control character: remove it")}
        )
    return problems + _header_problems(headers)


def _header_problems(headers: Mapping[str, str]) -> list[Problem]:
    found = {name: rules.problem(name, value) for name, value in headers.items()}
    return [{"field": f"headers.{rules.shown(name)}", "message": text} for name, text in found.items() if text]


def check_destination(kind: str, settings: Mapping[str, Any], network: NetworkPolicy) -> list[Problem]:
    """Problems of a service's settings: their form, and addresses deliveries may not go to.

    A name is not looked up here. What it leads to is checked at every connection.
    """
    try:
        parsed = kind_of(kind).settings.parse(settings)
    except Invalid as error:
        return list(error.detail or [{"field": "settings", "message": error.message}])
    return parsed.destination_problems(network)
