"""What an API key may be allowed. A scope is a permission written with a colon: ``messages:write``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from apps.core import actor as may
from apps.core.errors import Invalid

# People and keys are managed by people, so those permissions are no scopes.
MEANINGS: Final[dict[str, str]] = {
    may.MESSAGES_READ: "list and read messages and dead letters",
    may.MESSAGES_WRITE: "send, cancel and retry messages",
    may.MESSAGES_REVEAL: "read bodies and headers unmasked",
    may.DEADLETTERS_TRIAGE: "discard, assign and annotate dead letters",
    may.REPLAYS_RUN: "start, pause, resume and cancel replays",
    may.BREAKERS_OVERRIDE: "force a breaker open or closed",
    may.SERVICES_READ: "read services and breaker states",
    may.SERVICES_EDIT: "change a service",
    may.SERVICES_PAUSE: "pause and resume a service",
    may.AUDIT_READ: "read the audit trail",
    may.ALERTS_READ: "read alerts and their sources",
    may.ALERTS_WORK: "acknowledge, assign and annotate alerts",
    may.ALERTS_EDIT: "change sources of alerts, routes and escalation",
    may.TEMPLATES_EDIT: "write versions of message templates",
}
SCOPES: Final[dict[str, str]] = {name.replace(".", ":"): text for name, text in MEANINGS.items()}


def check_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes in order and once each; raises :class:`Invalid` that lists what there is."""
    wanted = list(dict.fromkeys(scopes))
    if not wanted:
        raise Invalid.field("scopes", f"a key without a scope could do nothing. Choose from: {', '.join(SCOPES)}")
    for scope in wanted:
        if scope not in SCOPES:
            raise Invalid.field("scopes", f"{scope!r} is not a scope.{_guess(scope)} Known: {', '.join(SCOPES)}")
    return sorted(wanted)


def _guess(scope: str) -> str:
    close = difflib.get_close_matches(scope, SCOPES, n=1)
    return f" Did you mean {close[0]}?" if close else ""
