"""Who posts: a source, known by its Bearer token or by Basic with its name and token."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final

from django.db.models import Q

from apps.alerts.models import AlertSource

PREFIX: Final = "opa_"


def make() -> str:
    """A new token: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def source_of(authorization: str) -> AlertSource | None:
    """The source an ``Authorization`` header belongs to; None when it belongs to none.

    A guess is compared as a SHA-256 by an index, so the time it takes says nothing about a token.
    """
    kind, _, given = authorization.strip().partition(" ")
    if kind.lower() == "bearer":
        return _by_token(given.strip())
    if kind.lower() == "basic":
        name, token = _basic(given.strip())
        found = _by_token(token)
        return found if found is not None and hmac.compare_digest(found.name.encode(), name.encode()) else None
    return None


def _by_token(token: str) -> AlertSource | None:
    if not token:
        return None
    mark = digest(token)
    return AlertSource.objects.filter(
        Q(token_hash=mark) | Q(previous_token_hash=mark), disabled_at__isnull=True
    ).first()


def _basic(given: str) -> tuple[str, str]:
    try:
        name, _, token = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, token
