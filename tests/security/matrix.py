"""Who may do what, for every address of the portal. This is the table that ``test_matrix`` holds the portal to.

A page has a rule for GET and one for POST; an operation of the API has one. A rule is a permission, or:

* ``ANYONE``  also who is not logged in;
* ``PERSON``  whoever is logged in, whatever the role;
* ``NOBODY``  not even an admin: the address takes no such request (405), or it is not for a browser.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from apps.core.actor import (
    AUDIT_READ,
    BREAKERS_OVERRIDE,
    DEADLETTERS_TRIAGE,
    MESSAGES_READ,
    MESSAGES_REVEAL,
    MESSAGES_WRITE,
    PEOPLE_MANAGE,
    REPLAYS_RUN,
    SERVICES_EDIT,
    SERVICES_PAUSE,
    SERVICES_READ,
)

ANYONE: Final = "anyone"
PERSON: Final = "person"
NOBODY: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Rule:
    """``query`` is what a GET needs to show anything; ``sends`` what a POST needs to be understood."""

    get: str = NOBODY
    post: str = NOBODY
    query: str = ""
    sends: dict[str, str] = field(default_factory=dict)


def look(permission: str, query: str = "") -> Rule:
    """A page."""
    return Rule(get=permission, query=query)


def dialog(permission: str, query: str = "", **sends: str) -> Rule:
    """A form, and what it does."""
    return Rule(get=permission, post=permission, query=query, sends=sends)


def button(permission: str, **sends: str) -> Rule:
    """Only a POST."""
    return Rule(post=permission, sends=sends)


# Name of the URL -> rule.
PAGES: Final[dict[str, Rule]] = {
    # -- logging in -------------------------------------------------------------------------------
    "login": dialog(ANYONE),
    "account_login": dialog(ANYONE),
    # Between password and log-in; who is not there is led to the log-in, or on to the overview.
    "mfa_authenticate": dialog(ANYONE),
    "account_reauthenticate": dialog(PERSON),
    "mfa_reauthenticate": dialog(PERSON),
    "logout": button(PERSON),
    "account_logout": button(PERSON),
    "theme": button(ANYONE),
    "language": button(ANYONE),
    # -- services ---------------------------------------------------------------------------------
    "overview": look(SERVICES_READ),
    "services": look(SERVICES_READ),
    "service": look(SERVICES_READ),
    "service-override": dialog(BREAKERS_OVERRIDE, "action=force_open", action="force_open"),
    "service-test": button(BREAKERS_OVERRIDE),
    "service-pause": dialog(SERVICES_PAUSE),
    "service-resume": button(SERVICES_PAUSE),
    "service-settings": dialog(SERVICES_EDIT),
    # -- outbox -----------------------------------------------------------------------------------
    "outbox": look(MESSAGES_READ),
    "outbox-export": dialog(MESSAGES_READ),
    "message": look(MESSAGES_READ),
    "message-reveal": button(MESSAGES_REVEAL),
    "message-retry": button(MESSAGES_WRITE),
    "message-cancel": dialog(MESSAGES_WRITE),
    # -- dead letters and replays -----------------------------------------------------------------
    "dead-letters": look(MESSAGES_READ),
    "cause": look(MESSAGES_READ),
    "letter": look(MESSAGES_READ),
    "letters-discard": dialog(DEADLETTERS_TRIAGE, "cause={fingerprint}", cause="{fingerprint}"),
    "letter-edit": dialog(REPLAYS_RUN),
    "replays": look(MESSAGES_READ),
    "replay": look(MESSAGES_READ),
    "replay-new": dialog(REPLAYS_RUN, "cause={fingerprint}", cause="{fingerprint}"),
    "replay-pause": button(REPLAYS_RUN),
    "replay-resume": dialog(REPLAYS_RUN),
    "replay-cancel": dialog(REPLAYS_RUN),
    # -- audit trail ------------------------------------------------------------------------------
    "audit": look(AUDIT_READ),
    "audit-entry": look(AUDIT_READ),
    "audit-export": button(AUDIT_READ, format="csv"),
    "audit-verify": button(AUDIT_READ),
    # -- the API's own pages ----------------------------------------------------------------------
    "api-docs": look(ANYONE),
    # The document is the same whatever the method; it changes nothing.
    "api:openapi-json": dialog(ANYONE),
}
# Django's own pages for admins. Its log-in leads to ours, its log-out is for everyone.
ADMIN: Final = PEOPLE_MANAGE

# Operation of the API -> permission; for a key that is the scope. A session may only read (GET).
OPERATIONS: Final[dict[str, str]] = {
    "POST /api/v1/messages": MESSAGES_WRITE,
    "GET /api/v1/messages": MESSAGES_READ,
    "POST /api/v1/messages/batch": MESSAGES_WRITE,
    "GET /api/v1/messages/{message_id}": MESSAGES_READ,
    "POST /api/v1/messages/{message_id}/cancel": MESSAGES_WRITE,
    "POST /api/v1/messages/{message_id}/retry": MESSAGES_WRITE,
    "GET /api/v1/dead-letters": MESSAGES_READ,
    "GET /api/v1/dead-letters/causes": MESSAGES_READ,
    "POST /api/v1/replays": REPLAYS_RUN,
    "GET /api/v1/replays/{replay_id}": MESSAGES_READ,
    "POST /api/v1/replays/{replay_id}/pause": REPLAYS_RUN,
    "POST /api/v1/replays/{replay_id}/resume": REPLAYS_RUN,
    "POST /api/v1/replays/{replay_id}/cancel": REPLAYS_RUN,
    "GET /api/v1/services": SERVICES_READ,
    "GET /api/v1/services/{name}": SERVICES_READ,
    "POST /api/v1/services/{name}/breaker": BREAKERS_OVERRIDE,
    "GET /stats/circuit-breaker": SERVICES_READ,
}
# A body is read before the scope is looked at, so it must be one that is understood.
BODIES: Final[dict[str, object]] = {
    "POST /api/v1/messages": {"service": "midtrans", "json": {"a": 1}},
    "POST /api/v1/messages/batch": {"messages": [{"service": "midtrans", "json": {"a": 1}}]},
    "POST /api/v1/replays": {"cause": "{fingerprint}", "reason": "x"},
    "POST /api/v1/services/{name}/breaker": {"action": "reset", "reason": "x"},
}
# Answered outside of the resolver, to whoever asks (opsportal.probes).
PROBES: Final = ("/health", "/health/live", "/health/ready", "/metrics")
