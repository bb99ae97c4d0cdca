"""Who may do what, for every address of the portal. This is the table that ``test_matrix`` holds the portal to.

A page has a rule for GET and one for POST; an operation of the API has one. A rule is a permission, or:

* ``ANYONE``  also who is not logged in;
* ``PERSON``  whoever is logged in, whatever the role;
* ``NOBODY``  not even an admin: the address takes no such request (405), or it is not for a browser.
"""

from __future__ import annotations

from typing import Final

from apps.core.actor import (
    APIKEYS_MANAGE,
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
    TEMPLATES_EDIT,
)
from tests.security.rooms import alerts, incidents, postmortems, quiet, routing, sources
from tests.security.rules import ANYONE, NOBODY, PERSON, Rule, button, dialog, look, own

__all__ = ["ADMIN", "ANYONE", "BODIES", "NOBODY", "OPERATIONS", "PAGES", "PERSON", "PROBES", "Rule"]

ROOMS: Final = (alerts, incidents, postmortems, quiet, routing, sources)

# Name of the URL -> rule.
PAGES: Final[dict[str, Rule]] = {
    # -- logging in -------------------------------------------------------------------------------
    "login": dialog(ANYONE),
    "account_login": dialog(ANYONE),
    # Between password and log-in; who is not there is led to the log-in, or on to the overview.
    "mfa_authenticate": dialog(ANYONE),
    "mfa_login_webauthn": dialog(ANYONE),
    "oidc_login": own(dialog(ANYONE)),
    "oidc_callback": own(dialog(ANYONE)),
    "socialaccount_login_cancelled": own(dialog(ANYONE)),
    "password-link": dialog(ANYONE),
    "logout": button(PERSON),
    "account_logout": button(PERSON),
    "account_reauthenticate": dialog(PERSON),
    "mfa_reauthenticate": dialog(PERSON),
    "mfa_reauthenticate_webauthn": dialog(PERSON),
    "theme": button(ANYONE),
    "language": button(ANYONE),
    # -- one's own settings -----------------------------------------------------------------------
    "settings": look(PERSON),
    "profile": dialog(PERSON),
    "mfa_index": look(PERSON),
    "mfa_list_webauthn": look(PERSON),
    "account_change_password": dialog(PERSON),
    "mfa_activate_totp": dialog(PERSON),
    "mfa_deactivate_totp": dialog(PERSON),
    "mfa_view_recovery_codes": look(PERSON),
    "mfa_generate_recovery_codes": dialog(PERSON),
    "mfa_add_webauthn": dialog(PERSON),
    "mfa_remove_webauthn": dialog(PERSON),
    "mfa_edit_webauthn": dialog(PERSON),
    "sessions": look(PERSON),
    "sessions-end-others": button(PERSON),
    "session-end": button(PERSON),
    "views": look(PERSON),
    "view-new": dialog(PERSON, "page=outbox", page="outbox"),
    "view-rename": dialog(PERSON),
    "view-delete": dialog(PERSON),
    "components": look(PEOPLE_MANAGE),
    "find": look(MESSAGES_READ),
    "shortcuts": look(PERSON),
    "shortcuts-switch": button(ANYONE),
    # -- people, keys, what is set up --------------------------------------------------------------
    "people": look(PEOPLE_MANAGE),
    "person": look(PEOPLE_MANAGE),
    "people-invite": dialog(PEOPLE_MANAGE),
    "people-role": dialog(PEOPLE_MANAGE),
    "people-activate": dialog(PEOPLE_MANAGE),
    "people-link": dialog(PEOPLE_MANAGE),
    "people-reset-factor": dialog(PEOPLE_MANAGE),
    "people-end-sessions": dialog(PEOPLE_MANAGE),
    "keys": look(APIKEYS_MANAGE),
    "key-new": dialog(APIKEYS_MANAGE),
    "key-revoke": dialog(APIKEYS_MANAGE),
    "channels": look(SERVICES_READ),
    "schedules": look(SERVICES_READ),
    # -- services ---------------------------------------------------------------------------------
    "overview": look(SERVICES_READ),
    "services": look(SERVICES_READ),
    "service": look(SERVICES_READ),
    "service-override": dialog(BREAKERS_OVERRIDE, "action=force_open", action="force_open"),
    "service-test": button(BREAKERS_OVERRIDE),
    "service-pause": dialog(SERVICES_PAUSE),
    "service-resume": button(SERVICES_PAUSE),
    "service-history": look(SERVICES_READ),
    "service-event": look(SERVICES_READ),
    "service-what-if": look(SERVICES_READ),
    "service-settings": dialog(SERVICES_EDIT),
    "service-versions": look(SERVICES_READ),
    "service-restore": dialog(SERVICES_EDIT),
    # -- templates --------------------------------------------------------------------------------
    "templates": look(MESSAGES_READ),
    "template": look(MESSAGES_READ),
    "template-new": dialog(TEMPLATES_EDIT),
    "template-preview": button(TEMPLATES_EDIT),
    "template-activate": dialog(TEMPLATES_EDIT, "channel=email&language=en&version=1"),
    "template-archive": dialog(TEMPLATES_EDIT, "channel=email&language=en"),
    "template-test": dialog(TEMPLATES_EDIT, "channel=email&language=en"),
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
    "letters": look(MESSAGES_READ),
    "letters-assign": dialog(DEADLETTERS_TRIAGE, "cause={fingerprint}", cause="{fingerprint}"),
    "letters-note": dialog(DEADLETTERS_TRIAGE, "cause={fingerprint}", cause="{fingerprint}"),
    "letters-snooze": dialog(DEADLETTERS_TRIAGE, "cause={fingerprint}", cause="{fingerprint}"),
    "triage": look(MESSAGES_READ),
    "triage-undo": button(DEADLETTERS_TRIAGE),
    "triage-stop": button(DEADLETTERS_TRIAGE),
    "letters-discard": dialog(DEADLETTERS_TRIAGE, "cause={fingerprint}", cause="{fingerprint}"),
    "letter-edit": dialog(REPLAYS_RUN),
    "replays": look(MESSAGES_READ),
    "replay": look(MESSAGES_READ),
    "replay-new": dialog(REPLAYS_RUN, "cause={fingerprint}", cause="{fingerprint}"),
    "replay-pace": dialog(REPLAYS_RUN),
    "replay-take-out": button(REPLAYS_RUN, ids="{letter_id}"),
    "replay-pause": button(REPLAYS_RUN),
    "replay-resume": dialog(REPLAYS_RUN),
    "replay-cancel": dialog(REPLAYS_RUN),
    # -- audit trail ------------------------------------------------------------------------------
    "audit": look(AUDIT_READ),
    "audit-entry": look(AUDIT_READ),
    "audit-export": button(AUDIT_READ, format="csv"),
    "audit-verify": button(AUDIT_READ),
    # -- webhooks: a token of their own and no session opens them ------------------------------------
    "webhook-alertmanager": Rule(),
    "webhook-alertmanager-slash": Rule(),
    # -- the API's own pages ----------------------------------------------------------------------
    "api-docs": look(ANYONE),
    # The document is the same whatever the method; it changes nothing.
    "api:openapi-json": dialog(ANYONE),
}
for _room in ROOMS:
    PAGES.update(_room.PAGES)
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
    "POST /api/v1/dead-letters/assign": DEADLETTERS_TRIAGE,
    "POST /api/v1/dead-letters/note": DEADLETTERS_TRIAGE,
    "POST /api/v1/dead-letters/snooze": DEADLETTERS_TRIAGE,
    "POST /api/v1/dead-letters/discard": DEADLETTERS_TRIAGE,
    "POST /api/v1/replays": REPLAYS_RUN,
    "GET /api/v1/replays/{replay_id}": MESSAGES_READ,
    "POST /api/v1/replays/{replay_id}/pause": REPLAYS_RUN,
    "POST /api/v1/replays/{replay_id}/resume": REPLAYS_RUN,
    "POST /api/v1/replays/{replay_id}/cancel": REPLAYS_RUN,
    "GET /api/v1/services": SERVICES_READ,
    "GET /api/v1/services/{name}": SERVICES_READ,
    "POST /api/v1/services/{name}/breaker": BREAKERS_OVERRIDE,
    "GET /api/v1/templates": MESSAGES_READ,
    "GET /api/v1/templates/{name}": MESSAGES_READ,
    "POST /api/v1/templates/{name}": TEMPLATES_EDIT,
    "POST /api/v1/templates/{name}/activate": TEMPLATES_EDIT,
    "GET /stats/circuit-breaker": SERVICES_READ,
}
# A body is read before the scope is looked at, so it must be one that is understood.
BODIES: Final[dict[str, object]] = {
    "POST /api/v1/messages": {"service": "midtrans", "json": {"a": 1}},
    "POST /api/v1/messages/batch": {"messages": [{"service": "midtrans", "json": {"a": 1}}]},
    "POST /api/v1/dead-letters/assign": {"cause": "{fingerprint}", "assignee": "other@example.com"},
    "POST /api/v1/dead-letters/note": {"cause": "{fingerprint}", "text": "x"},
    "POST /api/v1/dead-letters/snooze": {"cause": "{fingerprint}", "until": "2999-01-01T00:00:00Z"},
    "POST /api/v1/dead-letters/discard": {"cause": "{fingerprint}", "reason": "x"},
    "POST /api/v1/replays": {"cause": "{fingerprint}", "reason": "x"},
    "POST /api/v1/templates/{name}": {
        "channel": "email",
        "language": "en",
        "subject": "x",
        "body": "Hello",
        "reason": "x",
    },
    "POST /api/v1/templates/{name}/activate": {"channel": "email", "language": "en", "version": 1, "reason": "x"},
    "POST /api/v1/services/{name}/breaker": {"action": "reset", "reason": "x"},
}
for _room in ROOMS:
    OPERATIONS.update(_room.OPERATIONS)
    BODIES.update(_room.BODIES)

# Answered outside of the resolver, to whoever asks (opsportal.probes).
PROBES: Final = ("/health", "/health/live", "/health/ready", "/metrics")
