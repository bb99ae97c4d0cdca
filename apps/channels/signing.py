"""Signatures the Standard Webhooks way (standardwebhooks.com, version 1)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Final

from django.utils.translation import gettext as _

from apps.core.errors import Invalid

PREFIX: Final = "whsec_"


def key_of(secret: str) -> bytes:
    """The key of a secret: what follows ``whsec_`` is base64, anything else is taken as it stands."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise Invalid.field("secret", _("begins with whsec_ but what follows is not base64: paste the whole secret"))
    return key


class Signer:
    """Signs with every live secret, the current one first, so that a receiver may rotate when it likes."""

    __slots__ = ("_keys",)

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [key_of(secret) for secret in secrets]

    def sign(self, message_id: str, timestamp: str, body: bytes) -> str:
        """The value of ``webhook-signature`` for one attempt. ``timestamp`` is in seconds since 1970."""
        content = f"{message_id}.{timestamp}.".encode() + body
        return " ".join(
            [
                "v1," + binascii.b2a_base64(hmac.digest(key, content, "sha256"), newline=False).decode()
                for key in self._keys
            ]
        )
