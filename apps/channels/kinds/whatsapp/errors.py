"""What the error codes of the WhatsApp Cloud API mean for a message and for the service.

Codes as in Meta's "Cloud API error codes"; docs/design/channels.md gives the reasons for each group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Meaning:
    error_class: str
    permanent: bool
    counts: bool
    pauses: bool = False


# Too fast, by application, account, number or pair of numbers: healthy, and worth another try later.
RATE_LIMITED: Final = Meaning("rate_limited", permanent=False, counts=False)
# Meta's own trouble.
UNAVAILABLE: Final = Meaning("server_error", permanent=False, counts=True)
# The token or the account: nothing sent to this service can succeed until a person has acted.
UNUSABLE: Final = Meaning("unauthorized", permanent=True, counts=False, pauses=True)
# This message or this recipient.
REJECTED: Final = Meaning("rejected", permanent=True, counts=False)

_CODES: Final[dict[Meaning, str]] = {
    RATE_LIMITED: "4 80007 130429 131048 131056 133016",
    UNAVAILABLE: "1 2 131000 131016 131057 133004",
    UNUSABLE: "0 3 10 190 368 131005 131031 131042 131045 133010",
    REJECTED: """33 100 130472 130497 131008 131009 131021 131026 131030 131037 131047 131049 131050 131051
        131052 131053 132000 132001 132005 132007 132012 132015 132016 132068 132069 135000""",
}
BY_CODE: Final = {int(code): meaning for meaning, codes in _CODES.items() for code in codes.split()}


def meaning_of(code: int) -> Meaning | None:
    """None for a code Meta has added since; the HTTP status decides then."""
    if 200 <= code <= 299:
        return UNUSABLE  # permissions that were not granted or have been taken away
    return BY_CODE.get(code)
