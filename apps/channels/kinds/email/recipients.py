"""E-mail addresses: what is acceptable, and how they go on the wire. Pure.

Deliberately plain: ``name@domain``, no display names, no quoted local parts, no comments. What the
mail server makes of a well-formed address is its business and shows in its answer.
"""

from __future__ import annotations

import re
from typing import Final

from django.utils.translation import gettext as _

MAX_RECIPIENTS: Final = 50
# RFC 5321, 4.5.3.1.
_MAX_LOCAL: Final = 64
_MAX_DOMAIN: Final = 255
# Atoms (RFC 5322, 3.2.3), and anything beyond ASCII that is neither control nor space (RFC 6531).
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\u00a1-\ud7ff\ue000-\U0010ffff-]+\Z")
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)\Z")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]")


def split(recipient: str) -> list[str]:
    """The addresses of a comma separated list, each once, in order."""
    return list(dict.fromkeys(part for part in (item.strip() for item in recipient.split(",")) if part))


def recipient_problem(recipient: str) -> str | None:
    """What is wrong with a list of recipients, or None."""
    if _CONTROL.search(recipient):
        return _("holds a line break or another control character, which could inject a header: remove it")
    addresses = split(recipient)
    if not addresses:
        return _("is required: an e-mail address, or several with commas between")
    if len(addresses) > MAX_RECIPIENTS:
        return _("has more than {count} addresses: send several messages").format(count=MAX_RECIPIENTS)
    return next((problem for problem in map(address_problem, addresses) if problem), None)


def address_problem(address: str) -> str | None:
    """What is wrong with one address, or None."""
    if _CONTROL.search(address):
        return _("holds a line break or another control character, which could inject a header: remove it")
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain:
        return _("{address} is not an e-mail address: it needs a name, an @ and a domain").format(
            address=_shown(address)
        )
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    if dots or not _LOCAL.match(local) or len(local.encode()) > _MAX_LOCAL:
        text = _("{address} is not an e-mail address: {part} cannot stand before the @")
        return text.format(address=_shown(address), part=_shown(local))
    if ascii_domain(domain) is None:
        text = _("{address} is not an e-mail address: {part} is not a domain")
        return text.format(address=_shown(address), part=_shown(domain))
    return None


def ascii_domain(domain: str) -> str | None:
    """A domain as it goes on the wire (``bücher.example`` is ``xn--bcher-kva.example``); None if it is none."""
    try:
        name = domain.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    labels = name.split(".")
    valid = len(name) <= _MAX_DOMAIN and all(_LABEL.match(label) for label in labels)
    return name if valid else None


def on_the_wire(address: str) -> str:
    """An address with its domain in ASCII. Beyond ASCII before the @ it needs a server with SMTPUTF8."""
    local, _at, domain = address.rpartition("@")
    return f"{local}@{ascii_domain(domain) or domain}"


def needs_smtputf8(address: str) -> bool:
    return not address.isascii()


def _shown(text: str) -> str:
    return repr(text[:80])
