"""Every action of the trail in words, in one table. What is stored stays the English code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

ACTIONS: Final[Mapping[str, str | Promise]] = {
    "alert.acknowledged": _("Acknowledged an alert"),
    "alert.acknowledgement_taken_back": _("Took back the acknowledgement of an alert"),
    "alert.assigned": _("Assigned an alert"),
    "alert.noted": _("Wrote a note on an alert"),
    "alert.snoozed": _("Snoozed an alert"),
    "alertsource.created": _("Made a source of alerts"),
    "alertsource.rotated": _("Made a new token for a source of alerts"),
    "alertsource.old_token_ended": _("Ended the old token of a source of alerts"),
    "alertsource.disabled": _("Disabled a source of alerts"),
    "alertsource.enabled": _("Enabled a source of alerts"),
    "alertsource.changed": _("Changed a source of alerts"),
    "alertsource.refusal_cleared": _("Cleared refusals of alerts"),
    "alertdelivery.retried": _("Had a delivery of alerts read again"),
    "alertdelivery.downloaded": _("Downloaded a delivery of alerts as it came"),
    "apikey.created": _("Made an API key"),
    "apikey.revoked": _("Revoked an API key"),
    "audit.check_asked": _("Asked for a check of the trail"),
    "audit.exported": _("Exported the trail"),
    "audit.pruned": _("Removed old rows of the trail"),
    "breaker.configured": _("Changed a breaker’s thresholds"),
    "breaker.forced_closed": _("Forced a breaker closed"),
    "breaker.forced_open": _("Forced a breaker open"),
    "breaker.metrics_only": _("Set a breaker to count only"),
    "breaker.override_ended": _("Gave a breaker back to itself"),
    "breaker.reset": _("Reset a breaker"),
    "breaker.test_asked": _("Asked for a test of a service"),
    "deadletter.assigned": _("Assigned dead letters"),
    "deadletter.discarded": _("Discarded dead letters"),
    "deadletter.edited_and_replayed": _("Edited and replayed a dead letter"),
    "deadletter.noted": _("Wrote a note on dead letters"),
    "deadletter.snoozed": _("Snoozed dead letters"),
    "deadletter.triage_stopped": _("Stopped triage of many letters"),
    "deadletter.undone": _("Took triage of dead letters back"),
    "encryption.rotated": _("Rotated the encryption keys"),
    "message.cancelled": _("Cancelled a message"),
    "message.retried_now": _("Had a message tried now"),
    "message.revealed": _("Looked at a message unmasked"),
    "outbox.exported": _("Exported messages"),
    "person.changed": _("Changed a person"),
    "person.created": _("Added a person"),
    "person.factor_added": _("Added a second factor"),
    "person.factor_removed": _("Removed a second factor"),
    "person.factor_renewed": _("Made new recovery codes"),
    "person.factors_reset": _("Reset somebody’s second factor"),
    "person.identity_linked": _("Linked an identity provider"),
    "person.identity_unlinked": _("Unlinked an identity provider"),
    "person.link_made": _("Made a link to set a password"),
    "person.logged_in": _("Logged in"),
    "person.logged_out": _("Logged out"),
    "person.login_failed": _("Failed to log in"),
    "person.password_changed": _("Changed their password"),
    "person.password_set": _("Set a password by link"),
    "person.profile_changed": _("Changed their profile"),
    "person.session_ended": _("Ended a session"),
    "person.sessions_ended": _("Ended sessions"),
    "replay.cancelled": _("Cancelled a replay"),
    "replay.letters_taken_out": _("Took letters out of a replay"),
    "replay.pace_changed": _("Changed the pace of a replay"),
    "replay.paused": _("Paused a replay"),
    "replay.resumed": _("Resumed a replay"),
    "replay.started": _("Started a replay"),
    "service.changed": _("Changed a service"),
    "service.created": _("Added a service"),
    "routing.saved": _("Saved the routing of alerts"),
    "rotation.created": _("Made a rotation"),
    "rotation.changed": _("Changed a rotation"),
    "rotation.removed": _("Removed a rotation"),
    "rotation.overridden": _("Put somebody on call instead"),
    "rotation.override_ended": _("Ended being on call instead"),
    "service.paused": _("Paused a service"),
    "service.resumed": _("Resumed a service"),
    "service.secret_retired": _("Retired a service’s old secret"),
    "service.secret_rotated": _("Rotated a service’s secret"),
    "template.activated": _("Put a version of a template to use"),
    "template.archived": _("Archived a template"),
    "template.drafted": _("Drafted a version of a template"),
    "template.restored": _("Took a template out of the archive"),
    "template.tested": _("Sent a test of a template"),
    "template.written": _("Wrote a version of a template"),
}
ACTOR_KINDS: Final[Mapping[str, str | Promise]] = {
    "person": _("Person"),
    "apikey": _("API key"),
    "cli": _("Command line"),
    "system": _("The portal itself"),
}


def action_words(action: str) -> str:
    """``action`` in the reader's language; one that is not in the table is shown as it is stored."""
    return str(ACTIONS.get(action, action))


def kind_words(kind: str) -> str:
    return str(ACTOR_KINDS.get(kind, kind))
