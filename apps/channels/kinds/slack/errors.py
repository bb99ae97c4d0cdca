"""What Slack's error words mean: those of chat.postMessage and of incoming webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Meaning:
    error_class: str
    permanent: bool
    counts: bool
    pauses: bool = False


RATE_LIMITED: Final = Meaning("rate_limited", permanent=False, counts=False)
UNAVAILABLE: Final = Meaning("server_error", permanent=False, counts=True)
# The token, the webhook or the workspace is no longer valid: every further message would fail too.
UNUSABLE: Final = Meaning("unauthorized", permanent=True, counts=False, pauses=True)
REJECTED: Final = Meaning("rejected", permanent=True, counts=False)

_WORDS: Final[dict[Meaning, str]] = {
    RATE_LIMITED: "ratelimited rate_limited message_limit_exceeded",
    UNAVAILABLE: "internal_error fatal_error service_unavailable request_timeout rollup_error team_added_to_org",
    UNUSABLE: """invalid_auth not_authed token_revoked token_expired account_inactive missing_scope no_permission
        org_login_required ekm_access_denied access_denied not_allowed_token_type
        no_service no_service_id no_active_hooks no_team team_disabled invalid_token action_prohibited""",
}
BY_WORD: Final = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}


def meaning_of(word: str) -> Meaning:
    """Any other word is about this message: channel_not_found, msg_too_long, invalid_blocks, ..."""
    return BY_WORD.get(word, REJECTED)
