"""What an API key may be allowed. A scope is a permission written with a colon: ``messages:write``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Final

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core import actor as may
from apps.core.errors import Invalid

# People and keys are managed by people, so those permissions are no scopes.
MEANINGS: Final[dict[str, Any]] = {
    may.MESSAGES_READ: _("list and read messages and dead letters"),
    may.MESSAGES_WRITE: _("send, cancel and retry messages"),
    may.MESSAGES_REVEAL: _("read bodies and headers unmasked"),
    may.DEADLETTERS_TRIAGE: _("discard, assign and annotate dead letters"),
    may.REPLAYS_RUN: _("start, pause, resume and cancel replays"),
    may.BREAKERS_OVERRIDE: _("force a breaker open or closed"),
    may.SERVICES_READ: _("read services and breaker states"),
    may.SERVICES_EDIT: _("change a service"),
    may.SERVICES_PAUSE: _("pause and resume a service"),
    may.AUDIT_READ: _("read the audit trail"),
    may.ALERTS_READ: _("read alerts and their sources"),
    may.ALERTS_WORK: _("acknowledge, assign and annotate alerts"),
    may.ALERTS_EDIT: _("change sources of alerts, routes and escalation"),
    may.INCIDENTS_READ: _("read incidents and post-mortems"),
    may.INCIDENTS_WORK: _("open and run incidents, write post-mortems"),
    may.INCIDENTS_EDIT: _("change the rules that open incidents"),
    may.POSTMORTEMS_PUBLISH: _("publish post-mortems"),
    may.TEMPLATES_EDIT: _("write versions of message templates"),
}
SCOPES: Final[dict[str, Any]] = {name.replace(".", ":"): text for name, text in MEANINGS.items()}


def check_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes in order and once each; raises :class:`Invalid` that lists what there is."""
    wanted = list(dict.fromkeys(scopes))
    if not wanted:
        text = gettext("a key without a scope could do nothing. Choose from: {known}")
        raise Invalid.field("scopes", text.format(known=", ".join(SCOPES)))
    for scope in wanted:
        if scope not in SCOPES:
            raise Invalid.field("scopes", _unknown(scope))
    return sorted(wanted)


def _unknown(scope: str) -> str:
    close = difflib.get_close_matches(scope, SCOPES, n=1)
    text = gettext("{scope} is not a scope. Known: {known}")
    if close:
        text = gettext("{scope} is not a scope. Did you mean {close}? Known: {known}")
    return text.format(scope=repr(scope), close=close[0] if close else "", known=", ".join(SCOPES))
