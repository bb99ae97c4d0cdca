from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from apps.channels.signing import Signer
from apps.sandbox.signatures import check

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
BODY = b'{"event": "invoice.paid"}'
NOW = 1_760_000_000.0


def headers(signature: str, *, at: float = NOW, name: str = "msg_1") -> dict[str, str]:
    return {"webhook-id": name, "webhook-timestamp": str(int(at)), "webhook-signature": signature}


def own_signature(secret_key: bytes = b"0123456789abcdef01234567", body: bytes = BODY) -> str:
    content = b"msg_1." + str(int(NOW)).encode() + b"." + body
    return "v1," + base64.b64encode(hmac.new(secret_key, content, hashlib.sha256).digest()).decode()


def test_a_right_signature_is_verified() -> None:
    assert check(SECRET, headers(own_signature()), BODY, now=NOW) == "verified"


def test_what_the_portal_signs_is_verified() -> None:
    signed = Signer(["another secret", SECRET]).sign("msg_1", str(int(NOW)), BODY)
    assert check(SECRET, headers(signed), BODY, now=NOW) == "verified"


def test_a_secret_that_is_not_base64_is_taken_as_it_stands() -> None:
    signed = Signer(["plain words"]).sign("msg_1", str(int(NOW)), BODY)
    assert check("plain words", headers(signed), BODY, now=NOW) == "verified"


@pytest.mark.parametrize(
    ("given", "body", "verdict"),
    [
        (headers(own_signature()), BODY + b" ", "wrong signature"),
        (headers(own_signature(b"another")), BODY, "wrong signature"),
        (headers(own_signature().replace("v1,", "v2,")), BODY, "wrong signature"),
        (headers("v1,not base64 !"), BODY, "wrong signature"),
        (headers("nonsense"), BODY, "wrong signature"),
        (headers(own_signature(), name="msg_2"), BODY, "wrong signature"),
        (headers(own_signature(), at=NOW - 3600), BODY, "stale timestamp"),
        ({**headers(own_signature()), "webhook-timestamp": "soon"}, BODY, "stale timestamp"),
        ({}, BODY, "missing"),
    ],
)
def test_anything_else_is_not(given: dict[str, str], body: bytes, verdict: str) -> None:
    assert check(SECRET, given, body, now=NOW) == verdict


def test_without_a_secret_nothing_is_claimed() -> None:
    assert check("", {}, BODY, now=NOW) == "not checked"
