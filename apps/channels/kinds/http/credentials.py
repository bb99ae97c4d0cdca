"""What the secret of an HTTP service becomes on the wire."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from django.utils.translation import gettext as _

from apps.channels.headers import problem
from apps.channels.kinds.http.settings import HttpSettings
from apps.channels.signing import Signer
from apps.core.errors import Invalid


def signer_of(settings: HttpSettings, secrets: Sequence[str]) -> Signer | None:
    """Signs unless the secret is used for something else. None without a secret."""
    if settings.auth not in (None, "signature"):
        return None
    if settings.auth == "signature":
        _first(settings, secrets)
    return Signer(secrets) if secrets else None


def headers_of(settings: HttpSettings, secrets: Sequence[str]) -> dict[str, str]:
    """The headers that carry the current secret itself."""
    match settings.auth:
        case "bearer":
            return {"Authorization": f"Bearer {_safe(_first(settings, secrets))}"}
        case "basic":
            return {"Authorization": f"Basic {basic(settings.username, _first(settings, secrets))}"}
        case "header":
            return {settings.auth_header: _safe(_first(settings, secrets))}
        case _:
            return {}


def basic(username: str, secret: str) -> str:
    """``user:password`` in base64 (RFC 7617)."""
    pair = f"{username}:{secret}" if username else secret if ":" in secret else f"{secret}:"
    return base64.b64encode(pair.encode()).decode()


def _first(settings: HttpSettings, secrets: Sequence[str]) -> str:
    if secrets:
        return secrets[0]
    if settings.secret_ref:
        text = _("auth is {auth}, but there is no secret: set the environment variable {variable}")
    else:
        text = _("auth is {auth}, but there is no secret: set the service's secret")
    raise Invalid.field("secret", text.format(auth=settings.auth, variable=settings.secret_ref))


def _safe(secret: str) -> str:
    if problem("x", secret):
        raise Invalid.field("secret", _("holds a line break or another control character: store it again without"))
    return secret
