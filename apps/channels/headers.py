"""Which headers a message or a service may add, and which are the portal's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from django.utils.translation import gettext as _

from apps.channels.base import DeliveryError

# The identity and the signature of the message, and what belongs to the connection (RFC 9110, 7.6.1).
RESERVED: Final = frozenset(
    [
        "idempotency-key",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-request-id",
        "x-tenant-id",
        "traceparent",
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "http2-settings",
    ]
)
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}\Z")
# Control characters would end the line, half a surrogate pair cannot be encoded.
UNSAFE: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
MAX_VALUE: Final = 4096


def is_reserved(name: str) -> bool:
    return name.lower() in RESERVED


def problem(name: str, value: str) -> str | None:
    """What is wrong with one header, or None."""
    if not _NAME.match(name):
        return _("is not a header name: use letters, digits and hyphens")
    if not isinstance(value, str):
        return _("must be text")  # a row written by plain SQL may hold anything
    if UNSAFE.search(value):
        return _("holds a line break or another control character, which could inject a header: remove it")
    if len(value) > MAX_VALUE:
        return _("is longer than {count} characters").format(count=MAX_VALUE)
    return None


def shown(name: str) -> str:
    """A header name that is safe to show in an error."""
    return name[:100].encode("unicode_escape").decode()


def check(name: str, value: str) -> None:
    """Raise a permanent :class:`DeliveryError` that names the header if it cannot be sent safely."""
    found = problem(name, value)
    if found:
        raise refused(f"headers.{shown(name)}", found)


def refused(field: str, text: str) -> DeliveryError:
    """A message that can never be sent as it stands. Says nothing about the destination."""
    return DeliveryError(f"{field}: {text}", error_class="bad_message", permanent=True, counts_as_failure=False)


def check_values(values: Mapping[str, str]) -> None:
    """Check values of the portal's own headers, by the field they come from."""
    for field, value in values.items():
        found = problem("x", value)
        if found:
            raise refused(field, found)


def merged(base: Mapping[str, str], custom: Mapping[str, str], kept: frozenset[str] = RESERVED) -> dict[str, str]:
    """``base`` with ``custom`` laid over it. Names in ``kept`` stay as they are, in any case of letters."""
    if not isinstance(custom, Mapping):
        raise refused("headers", "must be an object of names and texts")
    result = dict(base)
    spelled = {name.lower(): name for name in base}
    for name, value in custom.items():
        lower = name.lower()
        if lower in kept:
            continue
        check(name, value)
        result[spelled.setdefault(lower, name)] = value
    return result
