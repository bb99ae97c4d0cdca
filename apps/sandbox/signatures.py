"""Checks signatures the Standard Webhooks way, as a partner would: written from the specification
(standardwebhooks.com), not from the portal's own code, so that one can prove the other right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

TOLERANCE_S: Final = 300.0
VERIFIED: Final = "verified"
NOT_CHECKED: Final = "not checked"
MISSING: Final = "missing"


def check(secret: str, headers: Mapping[str, str], body: bytes, *, now: float) -> str:
    """``verified``, ``not checked`` (no secret is known here), ``missing``, or what is wrong with it.

    ``now`` is in seconds since 1970.
    """
    if not secret:
        return NOT_CHECKED
    name, sent_at, given = (headers.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
    if not (name and sent_at and given):
        return MISSING
    if not sent_at.isdecimal() or abs(now - int(sent_at)) > TOLERANCE_S:
        return "stale timestamp"
    expected = hmac.new(_key(secret), f"{name}.{sent_at}.".encode() + body, hashlib.sha256).digest()
    return VERIFIED if any(_matches(one, expected) for one in given.split(" ")) else "wrong signature"


def _key(secret: str) -> bytes:
    prefix, _, rest = secret.partition("whsec_")
    return base64.b64decode(rest) if rest and not prefix else secret.encode()


def _matches(signature: str, expected: bytes) -> bool:
    version, _, encoded = signature.partition(",")
    try:
        return version == "v1" and hmac.compare_digest(base64.b64decode(encoded), expected)
    except (binascii.Error, ValueError):
        return False
