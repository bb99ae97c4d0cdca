"""What people may see of secrets and of personal data without the permission to reveal it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

MASK: Final = "••••"
SECRET_NAME: Final = re.compile(
    r"authorization|cookie|password|passwd|secret(?!_ref)|token|api[-_ ]?key|credential|private[-_ ]?key|signature",
    re.IGNORECASE,
)
_EMAIL: Final = re.compile(r"([^\s@<>]{1,64})@([^\s@<>]{1,253})")
_DIGITS: Final = re.compile(r"\d(?=(?:[\s().-]*\d){3})")
# Nine digits and more, also with a plus before them: what phones have and status codes have not.
_LONG_NUMBER: Final = re.compile(r"(?<![\w.-])\+?\d{9,15}(?![\w-])")
_PHONE: Final = re.compile(r"\+?[\d\s().-]{6,20}")


def is_secret_name(name: str) -> bool:
    """True for a header or key whose value should not be shown: Authorization, X-Api-Key, password."""
    return SECRET_NAME.search(name) is not None


def mask_secrets(value: Any) -> Any:
    """A copy of JSON-like ``value`` in which everything under a secret-sounding key is masked."""
    if isinstance(value, Mapping):
        return {
            key: MASK if item not in (None, "") and is_secret_name(str(key)) else mask_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [mask_secrets(item) for item in value]
    return value


def mask_url(url: str) -> str:
    """A URL without user, password, query values and fragment, any of which may be a secret."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return MASK
    return urlunsplit((parts.scheme, host, parts.path, MASK if parts.query else "", ""))


def mask_recipient(recipient: str) -> str:
    """Enough of a recipient to recognise it, not enough to use it: ``a•••@example.com``, ``••••••789``."""
    text = recipient.strip()
    if not text:
        return ""
    if "://" in text:
        return mask_url(text)
    if "@" in text:
        return _EMAIL.sub(lambda found: f"{found[1][0]}•••@{found[2]}", text)
    if _PHONE.fullmatch(text):
        return _DIGITS.sub("•", text)
    return f"{text[0]}•••" if len(text) < 12 else f"{text[:2]}•••{text[-2:]}"


def mask_addresses(text: str) -> str:
    """``text`` with its e-mail addresses and phone numbers masked: errors of providers like to repeat them."""
    without = _EMAIL.sub(lambda found: f"{found[1][0]}•••@{found[2]}", text)
    return _LONG_NUMBER.sub(lambda found: _DIGITS.sub("•", found[0]), without)
